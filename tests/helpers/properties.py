"""Properties that hold for random input: how many examples are tried follows from the option `--mutations`."""

from hypothesis import HealthCheck, Phase, given, settings

MUTATIONS = 300  # The default of the option; with it a test tries as many examples as it names.


def for_all(request, examples, **strategies):
    """Returns a decorator that calls a function for random values, and prints how many checks it made.

    Args:
        request: the test's request.
        examples: how many examples by default; `--mutations` makes them more.
        **strategies: a hypothesis strategy for each argument of the function, which returns its number of checks.
    """
    chosen = request.config.getoption("mutations", default=None) or MUTATIONS
    count = max(1, examples * chosen // MUTATIONS)

    def run(function):
        made = []
        checked = given(**strategies)(lambda **values: made.append(int(function(**values))))
        phases = [Phase.reuse, Phase.generate, Phase.shrink]  # To explain a failure takes minutes.
        settings(max_examples=count, deadline=None, phases=phases, suppress_health_check=list(HealthCheck))(checked)()
        assert sum(made), "nothing was checked"
        print(f"{request.node.name}: {sum(made)} checks of {len(made)} examples")

    return run
