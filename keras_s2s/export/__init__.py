"""Exports models: TensorFlow SavedModels, and folders for other engines."""

from keras_s2s.export.errors import ExportError
from keras_s2s.export.formats import FORMATS, export_as
from keras_s2s.export.saved_model.artefact import export_saved_model

__all__ = ["FORMATS", "ExportError", "export_as", "export_saved_model"]
