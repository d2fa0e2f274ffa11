"""A folder of class folders of clips, as batches that are read when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError, check_whole
from .endings import ClipError
from .files import _check_pictures, read_clip


class ClipFolder(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of clips and labels for `model.fit`, from a folder with one a class.

    ::

        clips/
            left/   one.mp4  two.gif  ...
            right/  three.mp4  ...

    Only one batch at a time is in memory. ``folder[i]`` is batch i: clips (batch,
    frames, height, width, channels), float32 in [0, 1], and labels (batch,), int64.
    Within `model.fit`, Keras turns an error of a file into one of its own, whose text
    still names the file.

    Parameters
    ----------
    folder : str or Path
        Holds a folder for each class, and these hold nothing but clips. Hidden files
        are passed over, links refused.
    frames : int
        Frames of each clip, evenly spaced over the file.
    size : (height, width), optional
        Pixels to resize frames to. If not given, all must have the size of the first.
    channels : {3, 1}
        Red, green and blue, or grey.
    batch_size : int
        Clips in a batch; the last may be smaller.
    seed : int or None
        Shuffles the clips anew for each epoch, for training; `model.fit` shuffles the
        batches as well, after `keras.utils.set_random_seed`. None keeps the order of
        `paths` and `labels`, for `model.predict` and testing.
    class_names : sequence of str, optional
        The classes in the order of their labels; if not given, in alphabetical order.
        Give those of the training folder when you open the test folder, which may lack
        some of them.
    **kwargs
        ``workers`` and the like, as for `keras.utils.PyDataset`.

    Attributes
    ----------
    class_names : tuple of str
        Label i means ``class_names[i]``.
    paths : tuple of Path
        The clips, class by class.
    labels : ndarray of int64, (clip,)
        In the order of `paths`.
    clip_shape : tuple of int
        (frames, height, width, channels).

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ClipError
        If there is no class or a class without a clip, if anything lies where it does
        not belong or is a link, or if a file can't be used.
    ShapeError
        If a number is not possible, or frames have different sizes and no `size` is
        given.

    Examples
    --------
    >>> import tempfile
    >>> from cnnseq_helpers import drifting_digits, write_clip
    >>> clips, _ = drifting_digits(4, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, clip in zip("abcd", clips):
    ...         (Path(folder) / name).mkdir()
    ...         write_clip(f"{folder}/{name}/clip.mp4", clip)
    ...     batches = ClipFolder(folder, frames=8, channels=1, batch_size=2, seed=None)
    ...     x, y = batches[1]
    >>> batches.class_names, len(batches), x.shape, y.tolist()
    (('a', 'b', 'c', 'd'), 2, (2, 8, 32, 32, 1), [2, 3])
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        frames: int,
        size: tuple[int, int] | None = None,
        channels: int = 3,
        batch_size: int = 32,
        seed: int | None,
        class_names: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_whole("ClipFolder", "frames", frames)
        _check_pictures("ClipFolder", size, channels)
        self.batch_size = check_whole("ClipFolder", "batch_size", batch_size)
        self.class_names, found = _find_clips(Path(folder).absolute(), class_names)
        self._request: dict[str, Any] = {
            "frames": frames,
            "size": size,
            "channels": channels,
        }
        self.paths = tuple(path for path, _ in found)
        self.labels = np.array([label for _, label in found], dtype=np.int64)
        self.clip_shape = read_clip(self.paths[0], **self._request).shape
        self._random = None if seed is None else np.random.default_rng(seed)
        self._order = np.arange(len(self.paths))
        self.on_epoch_end()

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.paths) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Read batch `index` of this epoch."""
        if not 0 <= index < len(self):
            raise IndexError(f"ClipFolder has the batches 0 to {len(self) - 1}")
        first = index * self.batch_size
        numbers = self._order[first : first + self.batch_size]
        clips = np.stack([self._read_clip(self.paths[number]) for number in numbers])
        return clips, self.labels[numbers]

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch, if there is a seed; Keras calls this."""
        if self._random is not None:
            self._order = self._random.permutation(len(self.paths))

    def _read_clip(self, path: Path) -> NDArray[np.float32]:
        clip = read_clip(path, **self._request)
        if clip.shape != self.clip_shape:
            raise ShapeError(
                f"ClipFolder expected frames of {self.clip_shape[1:3]} pixels, as in "
                f"the first clip, got {clip.shape[1:3]} in {str(path)!r}. Give a "
                "size=(height, width)."
            )
        return clip


def _find_clips(
    folder: Path, class_names: Sequence[str] | None
) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """Return the class names, and each clip with its label, in a fixed order."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"ClipFolder expected a folder of class folders, but {str(folder)!r} is "
            "none. Check the path."
        )
    entries = _visible(folder)
    names = tuple(entry.name for entry in entries if _is_plain(entry, folder=True))
    stray = {entry.name for entry in entries}.difference(
        names if class_names is None else {*names}.intersection(class_names)
    )
    if stray or not names:
        expected = "" if class_names is None else f", named {tuple(class_names)},"
        raise ClipError(
            f"ClipFolder expected {str(folder)!r} to hold a folder for each class"
            f"{expected} and nothing else, got {sorted(stray) or 'nothing'}. Put each "
            "clip into the folder of its class, other files elsewhere, and no links."
        )
    names = names if class_names is None else tuple(class_names)
    if len({*names}) < len(names):
        raise ClipError(
            f"ClipFolder expected each class once in class_names, got {names}. Remove "
            "what is repeated."
        )
    found = [
        (path, label)
        for label, name in enumerate(names)
        for path in _clips_of_class(folder / name)
    ]
    return names, found


def _clips_of_class(folder: Path) -> list[Path]:
    """Return the clips of a class; none if it has no folder, as a test set may."""
    clips = _visible(folder) if folder.is_dir() else None
    if clips == []:
        raise ClipError(
            f"ClipFolder expected clips in {str(folder)!r}, got an empty folder. "
            "Remove it, or put the clips of this class there."
        )
    for path in clips or []:
        if not _is_plain(path, folder=False):
            raise ClipError(
                f"ClipFolder expected nothing but files in {str(folder)!r}, but "
                f"{path.name!r} is a folder or a link. Move or copy the clips."
            )
    return clips or []


def _is_plain(path: Path, *, folder: bool) -> bool:
    """Tell whether a path is a file or folder itself, and no link to one."""
    return not path.is_symlink() and (path.is_dir() if folder else path.is_file())


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
