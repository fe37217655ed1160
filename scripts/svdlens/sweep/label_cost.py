"""`make label-cost`: what it would take to ask a language model about the lists of a sweep, before anything is sent.

STUDY=yes: about those of the prompt study. Before the lists are made, `--check` says whether there is anything to ask.
"""

import sys
from pathlib import Path

from svdlens.errors import SvdlensError
from svdlens.labels.registry import LABELLERS
from svdlens.sweep import paths
from svdlens.sweep.config_checks import check_configuration, load_schema, take_copies
from svdlens.sweep.config_files import configuration
from svdlens.sweep.named_files import expand_home
from svdlens.sweep.plan import Sweep

PROJECT = Path(__file__).parents[3]


def asking_sweep(config_files: list[str]) -> tuple[Sweep, list[str]]:
    """The sweep of config.yaml of the project with `config_files` over it, and those of its labellers that ask a
    language model. Raises SvdlensError where none does."""
    config = configuration(map(Path, config_files), PROJECT)
    check_configuration(config, load_schema(PROJECT / "rules/config.schema.yaml"))
    expand_home(config)
    take_copies(config)
    sweep = Sweep(config)
    asking = [name for name in sweep.labellers if LABELLERS[name].asks]
    if not asking:
        raise SvdlensError(
            "no labeller of this sweep asks a language model. Add one, sweep: {labellers: [coherence, llm]}, in a file "
            "that you name: make label-cost SWEEP=mine.yaml."
        )
    return sweep, asking


def main(config_files: list[str], study: bool = False) -> None:
    """For the sweep of config.yaml of the project with `config_files` over it, and its lists under results/; or for its
    prompt study."""
    sweep, asking = asking_sweep(config_files)
    # These take their time.
    from svdlens.evaluation.prompt_study import prompts_of_study, study_lists
    from svdlens.evaluation.prompt_study_cost import study_cost
    from svdlens.labels.label_table import Choice
    from svdlens.labels.llm.answers import questions_of
    from svdlens.labels.llm.cost import replies_so_far, requests_of, told
    from svdlens.labels.llm.lists import lists_of_table
    from svdlens.labels.llm.prompts import read_prompts

    for labeller in asking:
        own = sweep.labeller_config(labeller)
        places = [place for place in sweep.labelled_places if place.labeller == labeller]
        tables = dict.fromkeys(sweep.shared_path(paths.SHARED_TOKENS, place) for place in places)
        parameters = sweep.labeller_parameters(labeller)
        files = [Path(own.get(key, PROJECT / path)) for key, path in paths.PROMPT_FILES.items()]
        if study:
            lists_by_control = study_lists(
                list(map(Path, tables)), sweep.config["prompt_study"]["lists"], own["tokens"]
            )
            label, verify, _ = files
            conditions = prompts_of_study(label, verify, PROJECT / paths.STUDY_EXAMPLES)
            print(study_cost(lists_by_control, conditions, parameters, own))
            continue
        choice = Choice(**sweep.labelled_rows(labeller))
        lists = [one for table in tables for one in lists_of_table(Path(table), choice, own["tokens"])]
        lists = list(dict.fromkeys(lists))
        questions = questions_of(read_prompts(*files), parameters)
        found = replies_so_far(lists, questions, Path(own["ledger"]))
        print(told(len(lists), *requests_of(lists, questions, found), own))


if __name__ == "__main__":
    try:
        files = [argument for argument in sys.argv[1:] if argument not in ("--check", "--study")]
        if "--check" in sys.argv:
            asking_sweep(files)
        else:
            main(files, "--study" in sys.argv)
    except (SvdlensError, OSError) as error:
        sys.exit(str(error))
