from .combining import BatchApply as BatchApply
from .combining import cnn_lstm as cnn_lstm
from .datasets import Dataset as Dataset
from .datasets import load_basic_motions as load_basic_motions
from .datasets import load_dataset as load_dataset
from .digits import DIRECTIONS as DIRECTIONS
from .digits import drifting_digits as drifting_digits
from .digits import moving_digits as moving_digits
from .folders import ClipFolder as ClipFolder
from .plotting import plot_clips as plot_clips
from .plotting import plot_recordings as plot_recordings
from .plotting import plot_scores as plot_scores
from .plotting import use_book_style as use_book_style
from .shapes import ShapeError as ShapeError
from .shapes import check_shape as check_shape
from .shapes import conv_output_length as conv_output_length
from .shapes import pool_output_length as pool_output_length
from .testing import measured_receptive_field as measured_receptive_field
from .tracing import ReceptiveField as ReceptiveField
from .tracing import ShapeTrace as ShapeTrace
from .tracing import receptive_field as receptive_field
from .tracing import trace_shapes as trace_shapes
from .video import ClipError as ClipError
from .video import read_clip as read_clip
from .video import write_clip as write_clip

__version__: str
