"""Audio files to samples: decoded in worker processes, in the files' order, in bounded memory; a bad file costs itself alone.

A worker is `decoder.py` as a process of its own, fed through pipes: whatever a damaged file does to the decoder, its process, not the run,
ends. Workers wait for the next use and end with this process. There are as many as torch has threads (a recipe's `threads`).
"""

from __future__ import annotations

import atexit
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
from toolkit.encoders.contract.input_faults import BadInput

PATIENCE_S = 300.0
"""Longest that one file may take."""
BEFOREHAND = 2
"""Files a worker that are decoded before they are asked for."""


def waveforms(
    files: Sequence[bytes], *, rate: int, seconds: float, workers: int | None = None
) -> Iterator[np.ndarray | BadInput]:
    """Samples of each file in order, float32 [<= rate · seconds], or what is wrong with it.

    files: contents of audio files, taken one at a time (see `toolkit.encoders.contract.field_inputs.Files`); of a longer file the middle is taken.
    workers: processes; by default torch's threads.
    """
    import torch

    count = max(1, min(workers or torch.get_num_threads(), len(files)))
    waiting: deque[Future[np.ndarray | BadInput]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="decode") as threads:
        for place in range(len(files)):
            waiting.append(threads.submit(_decoded, files, place, rate, seconds))
            if len(waiting) > BEFOREHAND * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _decoded(files: Sequence[bytes], place: int, rate: int, seconds: float) -> np.ndarray | BadInput:
    try:
        data = files[place]
    except BadInput as fault:
        return fault
    worker = _borrowed()
    answer = worker.ask(data, rate, seconds)
    if worker.process.poll() is None:
        _give_back(worker)
    return answer if isinstance(answer, np.ndarray) else BadInput(place, f"has {answer}")


class Worker:
    """One decoding process."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        # -P: modules beside the program are no modules for it to import
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(decode_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, data: bytes, rate: int, seconds: float) -> np.ndarray | str:
        """Samples, or why there are none. A process that died or had to be ended is an answer too."""
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None and answers is not None
        watch = threading.Timer(PATIENCE_S, self.process.kill)
        watch.daemon = True
        watch.start()
        try:
            requests.write(decode_worker.HEADER.pack(rate, seconds, len(data)))
            requests.write(data)
            requests.flush()
            good, size = decode_worker.ANSWER.unpack(answers.read(decode_worker.ANSWER.size))
            answer = answers.read(size)
            if len(answer) != size:
                raise EOFError
            return np.frombuffer(answer, np.float32).copy() if good else answer.decode("utf-8", "replace")
        except (OSError, EOFError, ValueError, decode_worker.struct.error):
            self.close()
            return f"audio that ended its decoder (exit code {self.process.returncode})"
        finally:
            watch.cancel()

    def close(self) -> None:
        """End the process, which has nothing to lose."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was left to write has no reader
                    continue


_idle: list[Worker] = []
_lock = threading.Lock()


def _borrowed() -> Worker:
    with _lock:
        while _idle:
            worker = _idle.pop()
            # another process's workers came along with a fork: their pipes are not ours
            if worker.owner == os.getpid() and worker.process.poll() is None:
                return worker
    return Worker()


def _give_back(worker: Worker) -> None:
    with _lock:
        _idle.append(worker)


@atexit.register
def _close_all() -> None:
    for worker in _idle:
        if worker.owner == os.getpid():
            worker.close()
