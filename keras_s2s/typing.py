"""Names for types that Keras itself does not have.

Keras' backends share no base class for tensors, so that a type checker takes both names for
`Any`; a reader learns from them what is meant. Shapes and dtypes are in docstrings.
"""

from __future__ import annotations

from typing import Any, TypeAlias

#: A tensor of the running backend, or a `KerasTensor` while a functional model is built; where a
#: scalar is meant, a number too.
Tensor: TypeAlias = Any

#: Tensors in nested dictionaries, lists, tuples or named tuples, as `keras.tree` maps over them;
#: None stands for a tensor that is not there.
Tree: TypeAlias = Any
