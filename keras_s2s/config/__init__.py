"""Typed, frozen, strict configuration of models, their text side, and recipes.

Every setting is declared once, here, with its default and its meaning. A key that no
declaration knows is an error that names the file, the key and the nearest valid key.
These modules import no Keras, so that a configuration can be read, checked and printed
without loading a backend.
"""

from keras_s2s.config.architecture import (
    ArchitectureConfig,
    DecoderConfig,
    EncoderConfig,
    OutputConfig,
    OutputTransformConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    RegisteredSide,
    embedding_dim,
    output_dim,
    readout_dim,
)
from keras_s2s.config.distillation import DistillationConfig
from keras_s2s.config.errors import ConfigError, KeyPath, Misfit, MissingFileError
from keras_s2s.config.generation import GenerationConfig
from keras_s2s.config.ids import LanguagesConfig, SourceIds, SpecialIds, TargetIds
from keras_s2s.config.merging import merge
from keras_s2s.config.objectives import (
    ObjectiveConfig,
    SentencePermutationConfig,
    SpanCorruptionConfig,
    TextInfillingConfig,
)
from keras_s2s.config.parts.conditional import ConditionalConfig, DeepRecurrentConfig
from keras_s2s.config.parts.embedding import EmbeddingConfig
from keras_s2s.config.parts.recurrent import AttentionConfig, BridgeConfig, CellsConfig
from keras_s2s.config.parts.registry import (
    REGISTERED,
    FeaturesConfig,
    FrontendConfig,
    RegisteredPart,
    TokensConfig,
    register_part,
)
from keras_s2s.config.parts.shared import shared_keys, spread_shared
from keras_s2s.config.parts.transformer import (
    RelativePositionsConfig,
    SSRUConfig,
    StackConfig,
    StepsConfig,
    TransformerConfig,
)
from keras_s2s.config.preset import (
    AdapterConfig,
    HalfConfig,
    OriginConfig,
    PointerConfig,
    PresetConfig,
)
from keras_s2s.config.reading import ConfigT, read_config
from keras_s2s.config.recipe import (
    BleuTokenizer,
    DataConfig,
    EvaluationConfig,
    FilesConfig,
    RecipeConfig,
    TaskConfig,
    WarmStartConfig,
)
from keras_s2s.config.strict import (
    LARGEST,
    Count,
    Depth,
    Flag,
    Number,
    Positive,
    Rate,
    Strict,
    TokenId,
)
from keras_s2s.config.subword_sampling import SamplingConfig, SubwordSamplingConfig
from keras_s2s.config.teacher_forcing import TeacherForcingConfig
from keras_s2s.config.text import TextConfig, TokenizerConfig, TokenizerKind
from keras_s2s.config.training import (
    GENERATION_MONITORS,
    AverageConfig,
    CheckpointsConfig,
    LoraConfig,
    OptimizerConfig,
    TensorBoardConfig,
    TrainingConfig,
)

__all__ = [
    "GENERATION_MONITORS",
    "LARGEST",
    "REGISTERED",
    "AdapterConfig",
    "ArchitectureConfig",
    "AttentionConfig",
    "AverageConfig",
    "BleuTokenizer",
    "BridgeConfig",
    "CellsConfig",
    "CheckpointsConfig",
    "ConditionalConfig",
    "ConfigError",
    "ConfigT",
    "Count",
    "DataConfig",
    "DecoderConfig",
    "DeepRecurrentConfig",
    "Depth",
    "DistillationConfig",
    "EmbeddingConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "FeaturesConfig",
    "FilesConfig",
    "Flag",
    "FrontendConfig",
    "GenerationConfig",
    "HalfConfig",
    "KeyPath",
    "LanguagesConfig",
    "LoraConfig",
    "Misfit",
    "MissingFileError",
    "Number",
    "ObjectiveConfig",
    "OptimizerConfig",
    "OriginConfig",
    "OutputConfig",
    "OutputTransformConfig",
    "PointerConfig",
    "Positive",
    "PresetConfig",
    "Rate",
    "RecipeConfig",
    "RecurrentDecoderConfig",
    "RecurrentEncoderConfig",
    "RegisteredPart",
    "RegisteredSide",
    "RelativePositionsConfig",
    "SSRUConfig",
    "SamplingConfig",
    "SentencePermutationConfig",
    "SourceIds",
    "SpanCorruptionConfig",
    "SpecialIds",
    "StackConfig",
    "StepsConfig",
    "Strict",
    "SubwordSamplingConfig",
    "TargetIds",
    "TaskConfig",
    "TeacherForcingConfig",
    "TensorBoardConfig",
    "TextConfig",
    "TextInfillingConfig",
    "TokenId",
    "TokenizerConfig",
    "TokenizerKind",
    "TokensConfig",
    "TrainingConfig",
    "TransformerConfig",
    "WarmStartConfig",
    "embedding_dim",
    "merge",
    "output_dim",
    "read_config",
    "readout_dim",
    "register_part",
    "shared_keys",
    "spread_shared",
]
