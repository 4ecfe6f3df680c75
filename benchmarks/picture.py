"""The picture of the page, from the demo's faulty pair: `python -m benchmarks.picture`."""

import sys
from pathlib import Path

import padiff
from benchmarks.measure import scratch
from benchmarks.page import browser
from demo import paddle_side, torch_side
from demo.digits import batches
from padiff.render.page import render

__all__ = ["main"]

PICTURE = Path(__file__).parents[1] / "docs/images/page.png"
_SIZE = {"width": 1280, "height": 920, "deviceScaleFactor": 1, "mobile": False}


def main() -> int:
    """Train both sides, compare them, and look at the page."""
    weights, data = torch_side.initial_weights(), list(batches(3))
    with scratch(needed=1 << 26) as root, browser() as driver:
        base, raw = root / "torch.zarr", root / "paddle.zarr"
        torch_side.train(torch_side.DigitNet(), weights, data, base)
        paddle_side.train(paddle_side.DigitNet(faulty=True), weights, data, raw)
        text = render(padiff.compare(base, raw, close_ups=400))
        for place in (root, PICTURE.parents[2]):  # what this machine calls them is of no interest
            text = text.replace(f"{place}/", "")
        page = root / "page.html"
        page.write_text(text, "utf-8")
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", _SIZE)
        driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        driver.get(page.as_uri())
        driver.execute_async_script("setTimeout(arguments[0], 500)")
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(PICTURE))
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
