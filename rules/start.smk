# When a run starts: what killed runs have left is cleared up, and what no job could do is said once.
#
# A workflow that svdlens is a module of has an onstart of its own; what stands in this one is not looked at there.


def check_results_is_no_file():
    """Snakemake would break off with a traceback while it builds the DAG."""
    results = Path("results").absolute()
    if results.exists() and not results.is_dir():
        stop(f"{results} is a file, and results go into a directory of that name. Move the file away.")


def check_results_directory():
    """Snakemake reports a directory that it cannot write to job by job; once, and first, is kinder."""
    directory = Path("results").absolute()
    while not directory.exists():
        directory = directory.parent
    if not os.access(directory, os.W_OK):
        stop(
            f"{directory} is read-only, and results/ goes there. Give yourself the right to write (chmod), or run in "
            "another directory: snakemake --directory DIR"
        )


def check_paths_on_cluster():
    """Into the commands of jobs on a cluster Snakemake puts paths as Python writes them, which a shell may read otherwise."""
    as_script = getattr(workflow.executor_settings, "pass_command_as_script", True)
    for path in (str(PROJECT), os.getcwd(), *map(str, workflow.config_settings.configfiles)):
        special = set('"$`') & set(path)
        if "\\" in path or (special and "'" in path):
            stop(
                f'no job on a cluster could read {path}: it has a backslash, or an apostrophe beside ", $ or `. Rename it.'
            )
        if special and not as_script:
            stop(
                f"no job on a cluster could read {path}: rename it, or add slurm-pass-command-as-script: true to the profile."
            )


check_results_is_no_file()
if workflow.is_main_process and not workflow.output_settings.dryrun:
    start_run(Path())


onstart:
    confirm_run()
    check_results_directory()
    if workflow.non_local_exec:
        check_paths_on_cluster()
