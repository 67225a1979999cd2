"""The whole of tinydeploy, stage by stage: start reading here. Each function calls one layer down and returns a value.

    load → plan_model → build_image → run_model

Each result holds the one before it, so that a report can speak of all of them. `options.py` is what a user may choose,
`planning.py`, `building.py` and `running.py` are the stages, `figures.py` is what they come to, `timeline.py` names
what a traced run did, `outlook.py` tells what else a plan could be, and `shared.py` is the same way for several models
in one arena.
"""

from tinydeploy.catalog import load, model_path
from tinydeploy.pipeline.building import MARKER_ADDRESS, Built, build_image, generate_library
from tinydeploy.pipeline.figures import Figure, figures_of, run_facts
from tinydeploy.pipeline.options import PlanOptions, describe
from tinydeploy.pipeline.outlook import compare_plans
from tinydeploy.pipeline.planning import DEFAULT_STACK_BYTES, find_tensors, plan_model
from tinydeploy.pipeline.running import Ran, run_model
from tinydeploy.pipeline.timeline import timeline_of, timeline_of_run

__all__ = [
    "DEFAULT_STACK_BYTES",
    "MARKER_ADDRESS",
    "Built",
    "Figure",
    "PlanOptions",
    "Ran",
    "build_image",
    "compare_plans",
    "describe",
    "figures_of",
    "find_tensors",
    "generate_library",
    "load",
    "model_path",
    "plan_model",
    "run_facts",
    "run_model",
    "timeline_of",
    "timeline_of_run",
]
