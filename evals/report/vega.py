"""The process that draws: Vega-Lite specifications in, SVG documents out, both as JSON.

Run by evals/report/drawing.py, and never imported.
"""

from __future__ import annotations

import json
import sys

if __name__ == "__main__":
    import vl_convert

    specs = json.load(sys.stdin)
    # No address is allowed: whatever a chart needs is in it.
    drawn = [vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]) for spec in specs]
    json.dump(drawn, sys.stdout)
