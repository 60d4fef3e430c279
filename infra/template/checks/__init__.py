"""What must hold of the expanded template. Every check yields, in words, what is off.

The checks look at what SAM made, not at what was asked of it: SAM adds routes, permissions and stages, and leaves out
route responses.
"""

from . import apis, deployment, functions, observability, storage
from .template import Template

CHECKS = [
    apis.routes_answer,
    apis.socket_opens_with_a_token,
    apis.stages_deploy_themselves,
    apis.http_wants_a_token,
    apis.cors_is_whole,
    apis.both_apis_trust_the_same,
    apis.domains_lead_to_their_apis,
    functions.functions_are_whole,
    functions.concurrency_is_shared_out,
    functions.roles_are_narrow,
    functions.permissions_are_as_written,
    functions.variables_fit_permissions,
    storage.tables_keep,
    storage.queues_lose_nothing,
    storage.timers_are_heard,
    storage.files_are_heard,
    storage.queues_are_private,
    storage.buckets_keep,
    storage.buckets_are_private,
    observability.everything_is_watched,
    observability.alarms_are_well_made,
    observability.budget_is_watched,
    observability.alarms_reach_someone,
    observability.dashboard_shows,
    observability.alarms_are_as_written,
    deployment.outputs_are_there,
    deployment.parameters_are_as_written,
    deployment.contradictions_are_refused,
]

__all__ = ["CHECKS", "Template", "run"]


def run(check, t):
    """What a check finds. That it cannot find its way is a finding too."""
    found = []
    try:
        found.extend(check(t))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        found.append(f"something is not where it should be: {error!r}")
    return found
