"""Constant-Q transform of the clips against librosa.cqt: 96 bins, hop 1,024, one patch of 15 s a clip.

Both sides begin with samples at 22,050 Hz in memory and end with complex64 [96, 323] a clip; librosa takes one signal
after the other. Equality is of the complex numbers, over all clips and for the worst of them.

    python benchmarks/cqt.py --clips ../shared/data/clips/clips --quick
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np

BAR, ERROR = 4.0, 1e-5
SECONDS, RATE = 15, 22050


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--clips", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data/clips/clips")
    parser.add_argument("--repetitions", type=int, default=5)
    given = parser.parse_args()
    common.start(given)
    import librosa
    import torch

    from toolkit.encoders.audio.cqt_transform import Cqt

    signals = patches(sorted(given.clips.glob("*.ogg"))[: 16 if given.quick else 64])
    plan = Cqt()
    batch = torch.from_numpy(signals).to(given.device)

    def peer() -> list[np.ndarray]:
        return [
            librosa.cqt(signal, sr=RATE, hop_length=plan.hop, n_bins=plan.bins, bins_per_octave=plan.per_octave)
            for signal in signals
        ]

    expected, found = np.stack(peer()), plan(batch).cpu().numpy()
    distance = np.linalg.norm((found - expected).reshape(len(signals), -1), axis=1)
    size = np.linalg.norm(expected.reshape(len(signals), -1), axis=1)
    whole, worst = float(np.linalg.norm(distance) / np.linalg.norm(size)), float((distance / size).max())
    if whole > ERROR:
        raise SystemExit(f"relative error {whole:.1e}, more than {ERROR}: no race")
    seconds = common.alternate(
        {"ours": lambda: plan(batch), "librosa": peer},
        repetitions=given.repetitions,
        device=given.device,
        clock=given.clock,
    )
    common.report(
        "cqt",
        given,
        ours=[each / len(signals) for each in seconds["ours"]],
        peer=[each / len(signals) for each in seconds["librosa"]],
        check=f"relative error {whole:.1e} over all, {worst:.1e} of the worst clip; allowed {ERROR}",
        clips=len(signals),
        bar=BAR,
    )


def patches(files: list[Path]) -> np.ndarray:
    """The first 15 s of each clip: float32 [n, 330750]."""
    import librosa

    if not files:
        raise SystemExit("no clips: give their folder with --clips")
    signals = [librosa.load(file, sr=RATE, mono=True, duration=SECONDS)[0] for file in files]
    return np.stack([np.pad(signal, (0, SECONDS * RATE - len(signal))) for signal in signals])


if __name__ == "__main__":
    main()
