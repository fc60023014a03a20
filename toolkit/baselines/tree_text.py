"""LightGBM's text of trees, rewritten from values that were checked.

LightGBM's parser trusts its input: a wrong length, feature or child makes it read other memory or never end. A saved
ranker may come from a stranger, so every line of the text is checked before LightGBM reads it.
"""

from __future__ import annotations

import re

import numpy as np

OBJECTIVES = re.compile(r"lambdarank|binary sigmoid:1")
HEADER, TREE, END = "tree_sizes=", "Tree=", "end of trees"
NODES = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
NODE_FACTS = ("internal_value", "internal_weight", "internal_count")
LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
INTEGERS = {"split_feature", "decision_type", "left_child", "right_child", "leaf_count", "internal_count"}
NUMERICAL = (0, 2, 4, 6, 8, 10)
"""Decision types of splits by a number: a default direction, and one of three kinds of missing values."""


def checked_text(text: str, features: int) -> str:
    """Return a model's text for LightGBM, without parameters. Its trees give the same scores.

    - features: number of features of a candidate.

    Raises `ValueError` for a text that LightGBM does not write.
    """
    head, *trees = text.partition(END)[0].split(f"\n{TREE}")
    stated = dict(line.partition("=")[::2] for line in head.splitlines())
    objective = stated.get("objective", "")
    if not OBJECTIVES.fullmatch(objective) or stated.get("max_feature_idx") != str(features - 1):
        raise ValueError(f"its trees must have {features} features and a known objective")
    blocks = [_tree(number, tree.splitlines()[1:], features) for number, tree in enumerate(trees)]
    names = " ".join(f"Column_{number}" for number in range(features))
    lines = [
        *("tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0"),
        *(f"max_feature_idx={features - 1}", f"objective={objective}", f"feature_names={names}"),
        f"feature_infos={' '.join(['none'] * features)}",
        f"{HEADER}{' '.join(str(len(block)) for block in blocks)}",
    ]
    return "\n".join(lines) + "\n\n" + "".join(blocks) + f"{END}\n"


def _tree(number: int, lines: list[str], features: int) -> str:
    """Return the text of one tree."""
    stated = dict(line.partition("=")[::2] for line in lines if line)
    if stated.pop("num_cat", "") != "0" or stated.pop("is_linear", "0") != "0":
        raise ValueError(f"tree {number} must not be categorical or linear")
    leaves, shrinkage = int(stated.pop("num_leaves", "0")), _numbers(stated.pop("shrinkage", ""), "shrinkage", 1)
    if leaves < 1:
        raise ValueError(f"tree {number} must have a leaf")
    sizes = dict.fromkeys((*NODES, *NODE_FACTS), leaves - 1) | dict.fromkeys(LEAVES, leaves)
    values = {name: _numbers(stated[name], name, size) for name, size in sizes.items() if name in stated}
    if missing := [name for name in (*NODES, "leaf_value") if name not in values and (leaves > 1 or name in LEAVES)]:
        raise ValueError(f"tree {number} must have {missing[0]}")
    if leaves > 1:
        _check_nodes(number, values, leaves, features)
    kept = [f"{name}={stated[name]}" for name in (*NODES, *LEAVES, *NODE_FACTS) if name in values]
    about = [
        f"{TREE}{number}",
        f"num_leaves={leaves}",
        "num_cat=0",
        *kept,
        "is_linear=0",
        f"shrinkage={shrinkage[0]:g}",
    ]
    return "\n".join(about) + "\n\n\n"


def _check_nodes(number: int, values: dict[str, np.ndarray], leaves: int, features: int) -> None:
    """Raise `ValueError` unless every node and leaf is reached once and every split reads a feature."""
    split, kinds = values["split_feature"], values["decision_type"]
    if split.min() < 0 or split.max() >= features or not np.isin(kinds, NUMERICAL).all():
        raise ValueError(f"tree {number} must split by the numbers of {features} features")
    children = np.concatenate([values["left_child"], values["right_child"]])
    parents = np.tile(np.arange(leaves - 1), 2)
    inner = children >= 0
    reached = np.array_equal(np.sort(children[inner]), np.arange(1, leaves - 1))
    if not reached or not np.array_equal(np.sort(~children[~inner]), np.arange(leaves)):
        raise ValueError(f"tree {number} must reach each node and leaf once")
    if (children[inner] <= parents[inner]).any():  # LightGBM numbers a node after its parent, so there are no cycles
        raise ValueError(f"tree {number} must have nodes after their parents")


def _numbers(text: str, name: str, count: int) -> np.ndarray:
    """Return `count` numbers separated by spaces. Scores must be finite; a threshold may be infinite."""
    values = np.array(text.split(" ") if text else [], np.int32 if name in INTEGERS else np.float64)
    if len(values) != count or (name == "leaf_value" and not np.isfinite(values).all()):
        raise ValueError(f"{name} must have {count} numbers")
    return values
