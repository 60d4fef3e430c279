"""Breaks of the expanded template, each in one place, and the check that is for it."""

MUTANTS = []

MESSAGES = {"Fn::GetAtt": ["MessagesTable", "Arn"]}


def mutant(check):
    """Registers a function that breaks (resources, template) so that `check` must complain."""

    def register(breaks):
        MUTANTS.append((check, breaks.__name__, breaks))
        return breaks

    return register


def props(resources, name):
    return resources[name]["Properties"]


def statements(resources, role):
    return props(resources, role)["Policies"][0]["PolicyDocument"]["Statement"]


def allow(action, resource):
    return {"Effect": "Allow", "Action": action, "Resource": resource}
