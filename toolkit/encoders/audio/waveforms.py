"""Decoding of audio files in worker processes, in the order of the files and in bounded memory.

A worker is a process that runs `decode_worker.py` and communicates through pipes. If a damaged file crashes the
decoder, only the worker ends, not the run. Idle workers stay alive for later calls and end with this process. The
number of workers is the number of torch threads (`threads` in a recipe).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from toolkit.encoders.audio import decode_worker
from toolkit.encoders.contract.field_values import Files
from toolkit.encoders.contract.input_faults import BadInput

PATIENCE_S = 300.0
"""Time limit per file in seconds."""
BEFOREHAND = 2
"""Number of files decoded ahead per worker."""


def waveforms(
    files: Sequence[bytes | Path],
    *,
    rate: int,
    seconds: float,
    workers: int | None = None,
    cut_short: list[int] | None = None,
) -> Iterator[np.ndarray | BadInput]:
    """Yield the samples of each file in order, float32 [<= rate · seconds], or a `BadInput` for an unreadable file.

    - files: contents or paths of audio files, or a lazy sequence of them. Files on disk are not read whole.
    - rate: samples per second of the result.
    - seconds: length of the result. Longer files are cut to their middle.
    - workers: number of processes. The default is the number of torch threads.
    - cut_short: list to which the indices of files are added that are used although a part is missing on disk.
    """
    import torch

    count = max(1, min(workers or torch.get_num_threads(), len(files)))
    sources = files if isinstance(files, Files) else Files(files)
    waiting: deque[Future[np.ndarray | BadInput]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="decode") as threads:
        for index in range(len(files)):
            waiting.append(threads.submit(_decoded, sources, index, rate, seconds, cut_short))
            if len(waiting) > BEFOREHAND * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _decoded(files: Files, index: int, rate: int, seconds: float, cut_short: list[int] | None) -> np.ndarray | BadInput:
    try:
        file = files.source(index)
    except BadInput as fault:
        return fault
    worker = _idle_worker()
    answer = worker.decode(file, rate, seconds)
    if worker.cut_short and cut_short is not None:
        cut_short.append(index)
    if worker.process.poll() is None:
        with _lock:
            _idle.append(worker)
    return answer if isinstance(answer, np.ndarray) else BadInput(index, f"has {answer}")


class Worker:
    """A decoding process.

    - cut_short: whether a part of the last decoded file is missing on disk.
    """

    def __init__(self) -> None:
        self.cut_short = False
        self.owner = os.getpid()
        # -P: the program must not import the modules next to it
        self.process = subprocess.Popen(  # nosec B603 # this Python with our own module
            [sys.executable, "-P", str(Path(decode_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def decode(self, file: bytes | Path, rate: int, seconds: float) -> np.ndarray | str:
        """Return the samples of a file, or the reason for a failure, such as a crash of the process."""
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None and answers is not None
        self.cut_short = False
        watch = threading.Timer(PATIENCE_S, self.process.kill)
        watch.daemon = True
        watch.start()
        content = os.fsencode(file.absolute()) if isinstance(file, Path) else file
        try:
            requests.write(decode_worker.HEADER.pack(rate, seconds, isinstance(file, Path), len(content)))
            requests.write(content)
            requests.flush()
            result, size = decode_worker.ANSWER.unpack(answers.read(decode_worker.ANSWER.size))
            answer = answers.read(size)
            if len(answer) != size:
                raise EOFError
            self.cut_short = result == decode_worker.CUT_SHORT
            if result == decode_worker.UNREADABLE:
                return answer.decode("utf-8", "replace")
            return np.frombuffer(answer, np.float32).copy()
        except (OSError, EOFError, ValueError, decode_worker.struct.error):
            self.close()
            return f"audio that crashed the decoder (exit code {self.process.returncode}): replace the file"
        finally:
            watch.cancel()

    def close(self) -> None:
        """Kill the process, which has no state."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # unwritten data has no reader any more
                    pipe.close()


_idle: list[Worker] = []
_lock = threading.Lock()


def _idle_worker() -> Worker:
    with _lock:
        while _idle:
            worker = _idle.pop()
            # a fork copies the workers of its parent, whose pipes it must not use
            if worker.owner == os.getpid() and worker.process.poll() is None:
                return worker
    return Worker()


@atexit.register
def _close_all() -> None:
    for worker in _idle:
        if worker.owner == os.getpid():
            worker.close()
