"""Model folders: those of this package, and those of other libraries, read and written.

`sources.py` opens whatever `from_preset` is given as a `Source` (`model_source.py`): configuration,
preprocessor, and weights to load. `preset_folder.py` is this package's own format; each other
library has a folder of modules, and `files/` reads the file formats of weights. `load_report.py`
says what became of every tensor.
"""
