"""The text of an inspection: what matters is seen at once, and it is about a screen."""

from pathlib import Path

import numpy as np
import pytest

from padiff import inspect
from padiff.render.folding import fold
from padiff.render.inspection import render
from padiff.render.words import byte_size
from padiff.tree import Node
from tests.stores import Layer, write_dump

Y = np.arange(12, dtype=np.float32).reshape(3, 4)
NAN = np.where(Y == 5, np.nan, Y).astype(np.float32)
SCREEN = 60  # lines, head and hints included


def model(*children: Layer) -> Layer:
    return Layer("", "Net", inputs=Y, out=Y, children=children)


def block(name: str, out: np.ndarray = Y, call: int = 0) -> Layer:
    inner = [
        Layer(part, "Linear", out=out, weights={"weight": Y}, call=call) for part in ("q", "k")
    ]
    return Layer(name, "Block", out=out, children=inner, call=call)


def text_of(location: Path, *, stats: bool = False, layers: list[str] | None = None) -> str:
    return render(inspect(location, layers=layers), stats=stats)


def test_a_small_model_is_shown_whole(tmp_path: Path) -> None:
    text = text_of(write_dump(tmp_path / "run", model(block("a"), block("b"))))
    assert text.partition("\n")[0].endswith("run: Zarr directory, written by padiff 0.1.0")
    assert text.partition("\n\n")[2] == (
        "  section  layers  tensors  elements\n"
        "  report   7       8        384 bytes\n"
        f"  {byte_size(inspect(tmp_path / 'run').bytes_on_disk or 0)} on disk\n"
        "\n"
        "No NaN or Inf in 8 tensors.\n"
        "\n"
        "report, on cpu\n"
        "      size  layer\n"
        " 384 bytes  Net             float32[3, 4] -> float32[3, 4]\n"
        " 144 bytes    a (Block)     float32[3, 4]\n"
        "  48 bytes      q (Linear)  float32[3, 4]\n"
        "  48 bytes      k (Linear)  float32[3, 4]\n"
        " 144 bytes    b (Block)     float32[3, 4]\n"
        "  48 bytes      q (Linear)  float32[3, 4]\n"
        "  48 bytes      k (Linear)  float32[3, 4]\n"
    )


def test_blocks_that_are_alike_are_one(tmp_path: Path) -> None:
    text = text_of(write_dump(tmp_path / "run", model(*(block(str(n)) for n in range(30)))))
    assert "  0 to 29 (Block), all 30 alike:  float32[3, 4]\n" in text
    assert "    q, k (Linear), both alike     float32[3, 4]\n" in text
    assert text.count("\n") < 20
    assert "--layer '*' shows all" in text


def test_names_of_what_is_alike_are_as_many_as_are_said(tmp_path: Path) -> None:
    names = {
        "a": "0 1 10 11 2 3 4 5 6 7 8 9",  # as texts are sorted
        "b": "3 4 6 0 1 2",
        "c": "5 9",
        "d": "q k v out",
        "e": "l8 l9 l10 l11",
        "f": "1 4 5",
    }
    held = {f"{top}.{name}.w": Y for top, all_of in names.items() for name in all_of.split()}
    np.savez(tmp_path / "net.npz", **held)  # type: ignore[arg-type]  # names are names
    text = text_of(tmp_path / "net.npz")
    for words in (
        "0 to 11, all 12 alike",
        "0 to 4, 6, all 6 alike",
        "5, 9, both alike",
        "q, k, ..., out, all 4 alike",
        "l8 to l11, all 4 alike",
        "1, 4, 5, all 3 alike",
    ):
        assert f"      {words} " in text


def test_what_is_left_out_is_counted_once(tmp_path: Path) -> None:
    """Layers, not lines; and no layer's bytes are among those of the one that holds it as well."""
    rows = [
        Layer(
            f"{row}",
            "Row",
            out=Y,
            children=[Layer(f"b{n}", f"B{row}{n}", out=Y) for n in range(40)],
        )
        for row in range(3)
    ]
    text = text_of(write_dump(tmp_path / "run", model(*rows)))
    (rest,) = (line for line in text.splitlines() if "..." in line)
    shown = text.partition("layer\n")[2].count("float32[3, 4]") - 1  # of the model its input too
    assert rest.endswith(f"... {124 - shown} more layers")
    assert rest.startswith(f"{byte_size((124 - shown) * Y.nbytes):>10}")


def test_one_among_many_is_seen(tmp_path: Path) -> None:
    """A block with NaN is not alike to the others, and is marked with a word."""
    blocks = [block(str(n), NAN if n == 9 else Y) for n in range(30)]
    text = text_of(write_dump(tmp_path / "run", model(*blocks)))
    assert "NaN in 3 of 92 tensors.\n" in text
    assert "The first: report, output 0 of 9.q (Linear): 1 NaN of 12.\n" in text
    lines = text.splitlines()
    (at,) = (n for n, line in enumerate(lines) if "  9 (Block)  " in line)
    assert lines[at].startswith("NaN ")
    assert lines[at].endswith(" float32[3, 4] NaN")
    assert any("  0 to 8 (Block), all 9 alike:" in line for line in lines[:at])
    assert any("  10 to 29 (Block), all 20 alike:" in line for line in lines[at:])
    assert not any(line.startswith("NaN ") for line in lines[: at - 3] if "Block" in line)


def test_repeated_calls_are_one(tmp_path: Path) -> None:
    steps = [Layer("cell", "Cell", out=Y, call=call) for call in range(40)]
    assert "  cell (Cell), calls 0 to 39  float32[3, 4]\n" in text_of(
        write_dump(tmp_path / "run", model(*steps))
    )
    turns = [Layer(name, name.title(), out=Y, call=c) for c in range(40) for name in ("a", "b")]
    assert "  ... these 2 again, 39 times, to b (B, call 39)\n" in text_of(
        write_dump(tmp_path / "turns", model(*turns))
    )


@pytest.mark.parametrize("stats", [False, True])
def test_ten_thousand_layers_are_about_a_screen(tmp_path: Path, stats: bool) -> None:
    """However they lie: side by side, or one in the other."""

    def node(route: str, *children: Node, number: int = 0) -> Node:
        return Node(f"Kind{number}", route, 0, 0, children=children)

    wide = node("", *(node(str(n), number=n) for n in range(10_000)))
    deep = node("x")
    for n in range(200):
        deep = node("x", deep, node("y", number=n), number=n)
    rows = [node(f"{n}", *(node(f"{n}.{m}", number=n * m) for m in range(100))) for n in range(100)]
    many = node("", *rows)
    for root in (wide, deep, many):
        outline = fold((root,), 30, lambda n: id(n) if stats else n.name)
        assert outline.is_folded
        assert 4 <= len(outline.lines) <= 31
        assert len(fold((root,), None, lambda n: n.name).lines) == sum(1 for _ in root.walk())


def test_all_sections_share_a_screen(tmp_path: Path) -> None:
    layers = [
        Layer(f"l{n}", f"Kind{n}", out=Y, weights={"w": Y}, grads={"w": Y}) for n in range(70)
    ]
    for section in ("report", "params", "weights", "grads"):
        location = write_dump(tmp_path / "run", model(*layers), section=section)
    for stats in (False, True):
        text = text_of(location, stats=stats)
        assert text.count("\n") < SCREEN + 30 * stats
        assert all(f"\n{name}, on cpu\n" in text for name in ("report", "params", "grads"))


def test_layers_that_are_asked_for_are_shown_with_all_they_have(tmp_path: Path) -> None:
    location = write_dump(tmp_path / "run", model(*(block(str(n)) for n in range(30))))
    text = text_of(location, layers=["7.*"])
    assert text.partition("on cpu\n")[2] == (
        "      size  layer, tensor\n"
        "  96 bytes  Net\n"
        "  96 bytes    7 (Block)\n"
        "  48 bytes      q (Linear)\n"
        "  48 bytes          output 0  float32[3, 4]\n"
        "  48 bytes      k (Linear)\n"
        "  48 bytes          output 0  float32[3, 4]\n"
    )
    assert text_of(location, layers=["*"]).count("(Linear)") == 60


def test_a_layer_that_only_holds_others_says_how_to_see_these(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **{"a.0.w": Y, "a.1.w": Y, "b.w": Y})  # type: ignore[arg-type]
    hint = "\nWhat fits has no tensor itself: --layer 'a.*' shows what is in it.\n"
    for pattern, told in {"a": True, "a.*": False, "b": False, "*": False}.items():
        assert (hint in text_of(tmp_path / "net.npz", layers=[pattern])) == told, pattern


def test_one_is_no_plural(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", w=Y)
    assert "Of 1 tensor it is not known" in text_of(tmp_path / "net.npz")
    found = render(inspect(tmp_path / "net.npz", measure=True))
    assert "No NaN or Inf in 1 tensor." in found


def test_statistics(tmp_path: Path) -> None:
    inf = np.where(Y > 9, np.inf, NAN).astype(np.float32)
    text = text_of(write_dump(tmp_path / "run", model(Layer("a", "A", out=inf))), stats=True)
    finite = inf[np.isfinite(inf)].astype(np.float64)
    (line,) = (line for line in text.splitlines() if "float32[3, 4], 1 NaN and 2 Inf" in line)
    word, other, *figures = line.split()[:6]
    assert (word, other) == ("NaN", "Inf")
    wanted = [finite.min(), finite.max(), finite.mean(), np.sqrt((finite**2).sum())]
    assert [float(figure) for figure in figures] == pytest.approx(wanted, rel=5e-3)
    none = text_of(write_dump(tmp_path / "none", model(Layer("a", "A", out=Y[:0]))), stats=True)
    assert "         -         -         -         -" in none


def test_steps_and_ranks_are_summed_up(tmp_path: Path) -> None:
    for step in (0, 1, 2, 8):
        for rank in (0, 1):
            write_dump(tmp_path / "run", model(), step=step, rank=rank)
    text = text_of(tmp_path / "run")
    assert "  report   0-2, 8  0-1    1       2        768 bytes\n" in text
    assert "\nreport of step 0, rank 0, on cpu\n" in text
    hint = f"Of 8 dumps one is shown; name another to see it: {tmp_path}/run/step_8/rank_1"
    assert hint in text.replace("\n", " ")
    part = f"name another to see it: {tmp_path}/run/step_8/rank_1"
    assert part in text_of(tmp_path / "run/step_8").replace("\n", " ")


def test_damage_is_told_before_the_layers(tmp_path: Path) -> None:
    for step in range(2):
        write_dump(tmp_path / "run", model(block("a")), step=step)
    document = tmp_path / "run/step_0/report/zarr.json"
    document.write_bytes(document.read_bytes().replace(b"Block", b"Bl\x1bck"))
    text = text_of(tmp_path / "run")
    assert text.index("DAMAGED: expected ") < text.index("No NaN or Inf") < text.index("of step 1")
    assert "\x1b" not in text


def test_long_and_hostile_names_stay_harmless(tmp_path: Path) -> None:
    long = ".".join(["a_layer_with_a_long_name"] * 12)
    evil = "\x1b[31mfc\x07\r\n\u202e"
    net = model(Layer(long, "Linear" * 50, out=Y), Layer(evil, evil, out={evil: Y}))
    location = write_dump(tmp_path / "run", net)
    for stats in (False, True):
        for layers in (None, ["*"]):
            text = text_of(location, stats=stats, layers=layers)
            assert not any(char in text for char in "\x1b\x07\r\u202e")
            assert "\\x1b[31mfc" in text
            shown = text.partition("on cpu\n")[2]
            assert max(map(len, shown.splitlines())) <= 170


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1024 * 1023, "1023 KiB"),
        (3 * 2**40, "3 TiB"),
        (2**60, "1048576 TiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert byte_size(count) == text
