"""A canonical form of ONNX graphs: names and order depend only on what a graph computes."""

import onnx

BATCH = "N"
"""The name of the batch axis."""


def canonical(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Return the same graph with nodes and constants ordered and named from the outputs on.

    tf2onnx iterates over sets: which of two equal constants it keeps, and under which name,
    differs between processes. The graph's inputs and outputs keep their names; what no output
    needs is left out. Nodes that contain graphs (If, Loop, Scan) are not supported.
    """
    nodes = _in_order(graph)
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for place, node in enumerate(nodes):
        for output in filter(None, node.output):
            names.setdefault(output, f"{node.op_type}_{place}_{len(names)}")
    constants = {constant.name: constant for constant in graph.initializer}
    used: dict[bytes, str] = {}  # equal constants are one
    for name in (name for node in nodes for name in node.input if name in constants):
        names[name] = used.setdefault(_content(constants[name]), f"constant_{len(used)}")

    result = onnx.GraphProto(name="graph", input=graph.input, output=graph.output)
    for value in (*result.input, *result.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:  # tf2onnx numbers it by what it converted before
                dimension.dim_param = BATCH
    for place, node in enumerate(nodes):
        added = result.node.add()
        added.CopyFrom(node)
        added.name = f"{node.op_type}_{place}"
        added.input[:] = [names.get(name, "") for name in node.input]
        added.output[:] = [names.get(name, "") for name in node.output]
    for content, name in used.items():
        result.initializer.add().ParseFromString(content)
        result.initializer[-1].name = name
    return result


def _content(constant: onnx.TensorProto) -> bytes:
    unnamed = type(constant)()
    unnamed.CopyFrom(constant)
    unnamed.ClearField("name")
    return bytes(unnamed.SerializeToString(deterministic=True))


def _in_order(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs need, each after those that it reads."""
    made_by = {name: place for place, node in enumerate(graph.node) for name in node.output}
    placed: dict[int, None] = {}
    waiting = [made_by[output.name] for output in reversed(graph.output)]
    while waiting:
        place = waiting[-1]
        read = (made_by[name] for name in graph.node[place].input if name in made_by)
        missing = [other for other in read if other not in placed]
        if place in placed or not missing:
            placed.setdefault(waiting.pop())
        else:
            waiting += reversed(missing)
    return [graph.node[place] for place in placed]
