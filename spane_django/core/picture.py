"""A picture of a workflow as JSON: where its boxes and lines go, and its nodes layer by layer.

`layout` places them; here they get the names of the wire.  The layer of a node is how many steps
the longest path to it has.
"""

from __future__ import annotations

from typing import Any

from .definition import Definition
from .layout import BOX_HEIGHT, BOX_WIDTH, lay_out


def picture(definition: Definition) -> dict[str, Any]:
    """Return the picture of a definition without cycles; lengths are pixels."""
    layers = definition.graph.layers()
    layer_of = {node: number for number, layer in enumerate(layers) for node in layer}
    layout = lay_out(definition.graph)
    return {
        "width": layout.width,
        "height": layout.height,
        "nodes": [
            {
                "id": node.id,
                "type": node.type,
                "layer": layer_of[node.id],
                "x": layout.boxes[node.id][0],
                "y": layout.boxes[node.id][1],
                "width": BOX_WIDTH,
                "height": BOX_HEIGHT,
            }
            for node in definition.nodes.values()
        ],
        "edges": [
            {
                "from": parent,
                "to": child,
                "onError": child in definition.nodes[parent].error_outputs,
                "points": [list(point) for point in points],
            }
            for (parent, child), points in layout.lines.items()
        ],
        "layers": layers,
    }
