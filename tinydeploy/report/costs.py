"""The report of `cost`: every layer's and the network's parameters, arithmetic, activations and bytes; and, with a
board, the modelled time and energy."""

from __future__ import annotations

from typing import Any

from tinydeploy.cost.latency import Estimate
from tinydeploy.cost.receptive import ReceptiveField
from tinydeploy.cost.table import CostTable, LayerCost
from tinydeploy.operators.base import printable
from tinydeploy.report.document import (
    Block,
    Column,
    Document,
    Facts,
    Line,
    Provenance,
    Table,
    envelope,
    number,
    shape,
    told,
)
from tinydeploy.units import count, kib

KINDS = {"model_size": "computed", "totals": "computed", "layers": "computed", "estimate": "modelled"}


def cost_document(
    costs: CostTable, provenance: Provenance, *, bits: int = 8, estimate: Estimate | None = None
) -> Document:
    """The report on `costs`. bits: of each parameter, for the model's size at that width."""
    totals = costs.totals
    size = costs.model_bytes(bits)
    data: dict[str, Any] = {
        **envelope("cost", provenance, {k: v for k, v in KINDS.items() if estimate or k != "estimate"}),
        "model": {"name": costs.model, "path": costs.path, "sha256": costs.sha256},
        "model_size": {"bits": bits, "bytes": size},
        "totals": cost_totals(costs),
        "layers": [layer_data(layer) for layer in costs.layers],
    }
    name = printable(costs.path or costs.model)
    pairs = [
        ("parameters", f"{number(totals.params)} ({count(totals.params)})"),
        ("size", f"{number(size)} B at {bits} bits a parameter ({_megabytes(size)})"),
        ("MACs", f"{number(totals.macs)} ({count(totals.macs)})"),
        ("FLOP", f"{number(totals.flop)} ({count(totals.flop)}) = 2 × MAC; other OP {number(totals.ops)}"),
        ("activations", f"{number(totals.activations)} in total, {number(totals.peak_activations)} at the peak"),
        ("constants", f"{kib(totals.constant_bytes)} as stored (weights, bias, tables)"),
        ("bytes moved", f"{kib(totals.bytes_moved)}, {totals.intensity:.2f} (FLOP + OP) / byte"),
        ("receptive field", _field(totals.receptive_field)),
    ]
    if totals.peak_layer is not None:
        peak = costs.layers[totals.peak_layer]
        made = f"{number(peak.input_elements)} + {number(peak.output_elements)}"
        pairs[4] = ("activations", f"{pairs[4][1]} = {made} in layer {peak.index} ({printable(peak.opcode)})")
    blocks: list[Block] = [Line(f"{name}: costs", "title"), Facts("", tuple(pairs))]
    if totals.uncounted:
        told_of = ", ".join(f"{i} ({printable(costs.layers[i].opcode)})" for i in totals.uncounted[:8])
        blocks.append(Line(f"not counted, for want of rules: operators {told_of}", "bad"))
    blocks.append(_layers(costs, estimate))
    if estimate is not None:
        data["board"] = estimate.board
        data["estimate"] = _estimate_data(estimate)
        blocks += _estimate_blocks(estimate)
    blocks.append(told(provenance, sha256=costs.sha256))
    return Document(tuple(blocks), data)


def cost_totals(costs: CostTable) -> dict[str, Any]:
    """The network's numbers, as every report on a model has them."""
    totals = costs.totals
    return {
        "params": totals.params,
        "macs": totals.macs,
        "flop": totals.flop,
        "ops": totals.ops,
        "activations": totals.activations,
        "peak_activations": totals.peak_activations,
        "activation_bytes": totals.activation_bytes,
        "peak_activation_bytes": totals.peak_activation_bytes,
        "peak_layer": totals.peak_layer,
        "weight_bytes": totals.weight_bytes,
        "bias_bytes": totals.bias_bytes,
        "table_bytes": totals.table_bytes,
        "bytes_moved": totals.bytes_moved,
        "intensity": totals.intensity,
        "receptive_field": _field_data(totals.receptive_field),
        "uncounted": list(totals.uncounted),
    }


def layer_data(layer: LayerCost) -> dict[str, Any]:
    """One layer's costs."""
    return {
        "index": layer.index,
        "opcode": layer.opcode,
        "name": layer.name,
        "output_shape": list(layer.output_shape),
        "macs": layer.macs,
        "flop": layer.flop,
        "ops": layer.ops,
        "ops_counted": layer.counted,
        "params": layer.params,
        "weight_bytes": layer.weight_bytes,
        "bias_bytes": layer.bias_bytes,
        "table_bytes": layer.table_bytes,
        "input_elements": layer.input_elements,
        "output_elements": layer.output_elements,
        "input_bytes": layer.input_bytes,
        "output_bytes": layer.output_bytes,
        "bytes_moved": layer.bytes_moved,
        "intensity": layer.intensity,
        "receptive_field": _field_data(layer.receptive_field),
    }


def _layers(costs: CostTable, estimate: Estimate | None) -> Table:
    columns = [
        Column("#", True),
        Column("opcode"),
        Column("output"),
        Column("params", True),
        Column("MACs", True),
        Column("OP", True),
        Column("weights B", True),
        Column("in + out", True),
        Column("moved B", True),
        Column("FLOP/B", True),
        Column("field", True),
    ]
    rows = []
    for layer in costs.layers:
        rows.append(
            [
                str(layer.index),
                printable(layer.opcode),
                shape(layer.output_shape),
                number(layer.params),
                number(layer.macs),
                number(layer.ops),
                number(layer.weight_bytes),
                number(layer.activation_elements),
                number(layer.bytes_moved),
                f"{layer.intensity:.2f}",
                _field(layer.receptive_field),
            ]
        )
    if estimate is not None:
        columns += [Column("ms", True), Column("bound")]
        for row, modelled in zip(rows, estimate.layers, strict=True):
            row += [f"{1e3 * modelled.seconds:.3f}", modelled.bound]
    peak = costs.totals.peak_layer
    note = "computed from the model; in + out: activations in elements"
    if estimate is not None:
        note += "; ms modelled"
    marked = frozenset() if peak is None else frozenset({peak})
    return Table("", tuple(columns), tuple(tuple(row) for row in rows), marked, note)


def _estimate_data(estimate: Estimate) -> dict[str, Any]:
    energy = estimate.energy
    return {
        "kind": estimate.kind,
        "clock_hz": estimate.clock_hz,
        "compute_seconds": estimate.compute_seconds,
        "memory_seconds": estimate.memory_seconds,
        "latency_seconds": estimate.latency_seconds,
        "inferences_per_second": estimate.throughput,
        "energy_joule": {
            "total": energy.total_joule,
            "arithmetic": energy.arithmetic_joule,
            "flash": energy.flash_joule,
            "ram": energy.ram_joule,
            "instructions": energy.instructions_joule,
        },
        "layers": [
            {
                "index": layer.index,
                "compute_seconds": layer.compute_seconds,
                "memory_seconds": layer.memory_seconds,
                "energy_joule": layer.energy_joule,
                "bound": layer.bound,
            }
            for layer in estimate.layers
        ],
        "figures": {
            name: {"value": figure.value, "unit": figure.unit, "source": figure.source}
            for name, figure in estimate.figures.items()
        },
        "notes": list(estimate.notes),
    }


def _estimate_blocks(estimate: Estimate) -> list[Block]:
    energy = estimate.energy
    total = energy.total_joule or 1.0
    pairs = (
        ("latency", f"≈ {1e3 * estimate.latency_seconds:.3f} ms ({estimate.throughput:.1f} inferences a second)"),
        ("compute", f"{1e3 * estimate.compute_seconds:.3f} ms"),
        ("memory", f"{1e3 * estimate.memory_seconds:.3f} ms, every byte moved once"),
        (
            "energy",
            (
                f"≈ {1e6 * energy.total_joule:.2f} µJ: arithmetic {100 * energy.arithmetic_joule / total:.0f}%, "
                f"moving data {100 * energy.data_joule / total:.0f}%, "
                f"instructions {100 * energy.instructions_joule / total:.0f}%"
            ),
        ),
    )
    heading = f"on {estimate.board} at {estimate.clock_hz / 1e6:g} MHz: modelled, not measured"
    sources = tuple(Line(source, "note") for source in estimate.sources)
    return [Facts(heading, pairs), *(Line(note, "note") for note in estimate.notes), *sources]


def _field(field: ReceptiveField) -> str:
    return "all" if field.whole else f"{field.rows}×{field.columns}"


def _field_data(field: ReceptiveField) -> dict[str, Any]:
    return {"rows": field.rows, "columns": field.columns, "whole": field.whole}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB" if size >= 1_000_000 else kib(size)
