"""Recurrent encoder-decoders written in PyTorch: state dicts of nn.Embedding, nn.RNN, nn.GRU,
nn.LSTM and nn.Linear.

description.py    torch_rnn.yaml, which says what the tensors do not tell
modules.py        which module of a state dict has which role
derivation.py     the architecture, from the shapes of the tensors
transforms.py     weights here and tensors there
key_table.py      every variable of a network, and its tensors
reader.py, writer.py
"""
