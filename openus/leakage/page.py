"""The findings of the gate as one HTML page: every pair side by side, no network, no script."""

from __future__ import annotations

import base64
from collections import Counter
from typing import TYPE_CHECKING

import cv2

from openus.leakage.gate import Findings
from openus.leakage.sides import Side

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

SHOWN = 500
"""Pairs drawn; the counts above them are complete."""

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>openus: leakage</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } .ok { color: #14662b } .bad { color: #a11 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .4rem; border-top: 1px solid #ddd }
img { width: 128px; height: 128px; object-fit: contain; background: #000; image-rendering: auto }
code { font-size: .85em; overflow-wrap: anywhere }
</style></head><body>
<h1>Leakage: <span class="{{ 'ok' if findings.ok and findings.held_out else 'bad' }}">{{ findings.summary }}</span></h1>
<p><code>{{ pretrain.name }}</code>{% if not findings.parts %} against <code>{{ held_out.name }}</code>{% endif %}</p>
{% if counts %}<p>{% for rule, n in counts %}{{ rule }}: {{ n }}{{ ', ' if not loop.last }}{% endfor %}</p>{% endif %}
{% for note in findings.notes %}<p>Note: {{ note }}</p>{% endfor %}
{% if rows %}<table><tr><th>rule</th><th>pre-training</th><th>held out</th><th>why</th></tr>
{% for leak, left, right in rows %}<tr><td>{{ leak.rule }}</td>
<td>{% if left %}<img alt="" src="data:image/png;base64,{{ left }}"><br>{% endif %}
<code>{{ leak.pretrain_key }}</code><br>{{ leak.pretrain_path or '' }}</td>
<td>{% if right %}<img alt="" src="data:image/png;base64,{{ right }}"><br>{% endif %}
<code>{{ leak.held_out_key or '' }}</code><br>{{ leak.held_out_path or '' }}</td>
<td>{{ leak.detail }}</td></tr>
{% endfor %}</table>{% endif %}
{% if hidden %}<p>{{ hidden }} more findings are not drawn.</p>{% endif %}
</body></html>
"""


def page(findings: Findings, pretrain: Side, held_out: Side) -> str:
    """HTML of the findings; the pictures are the thumbnails that were compared. File names are escaped."""
    from jinja2 import Environment

    left = {picture.key: row for row, picture in enumerate(pretrain.pictures)}
    right = {picture.key: row for row, picture in enumerate(held_out.pictures)}
    rows = [
        (
            leak,
            _picture(pretrain, left.get(leak.pretrain_key)),
            _picture(held_out, right.get(leak.held_out_key or "")),
        )
        for leak in findings.leaks[:SHOWN]
    ]
    counts = sorted(Counter(leak.rule for leak in findings.leaks).items())
    template = Environment(autoescape=True).from_string(_TEMPLATE)
    return template.render(
        findings=findings, pretrain=pretrain, held_out=held_out, rows=rows, counts=counts,
        hidden=max(0, len(findings.leaks) - SHOWN),
    )  # fmt: skip


def _picture(side: Side, row: int | None) -> str | None:
    if row is None:
        return None
    thumb: NDArray[uint8] = side.prints.thumbs[row]
    done, content = cv2.imencode(".png", thumb)
    return base64.b64encode(content.tobytes()).decode() if done else None
