"""What a network costs: counts layer by layer (computed), and time and energy on a board (modelled)."""

from tinydeploy.cost.latency import Energy, Estimate, LayerEstimate, estimate
from tinydeploy.cost.networks import network, network_names
from tinydeploy.cost.receptive import ReceptiveField
from tinydeploy.cost.table import CostTable, LayerCost, Totals, cost_table

__all__ = [
    "CostTable",
    "Energy",
    "Estimate",
    "LayerCost",
    "LayerEstimate",
    "ReceptiveField",
    "Totals",
    "cost_table",
    "estimate",
    "network",
    "network_names",
]
