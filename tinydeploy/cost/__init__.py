"""What a network costs: counts layer by layer (computed), and time and energy on a board (modelled)."""

from tinydeploy.cost.networks import network, network_names
from tinydeploy.cost.receptive import ReceptiveField
from tinydeploy.cost.table import CostTable, LayerCost, Totals, cost_table

__all__ = [
    "CostTable",
    "LayerCost",
    "ReceptiveField",
    "Totals",
    "cost_table",
    "network",
    "network_names",
]
