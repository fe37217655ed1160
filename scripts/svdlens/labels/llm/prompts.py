"""The two prompts of the labeller `llm`, from templates: one that asks for a label, one that asks whether it fits.

Token texts are hostile: they can be any text, also an instruction. The templates of this project quote them as JSON
strings and say that they are data. Templates are Jinja2 in a sandbox: they see what stands in LABEL_NAMES and
VERIFY_NAMES, and reach neither files nor Python.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import jinja2.meta
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from svdlens.errors import SvdlensError

NONE = "none"
"""What examples say of a list whose tokens share nothing."""
LABEL_NAMES = {"tokens": "the texts of the list", "examples": "what stands under `label` in the file of examples"}
VERIFY_NAMES = {
    "tokens": "the texts of the list",
    "label": "the label to judge",
    "examples": "what stands under `verify` in the file of examples",
}
"""What templates can name, and what has to be in the prompt but for the examples."""


def json_format(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """The response_format of chat completions that holds a reply to {"key": value}."""
    schema = {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": key, "strict": True, "schema": schema}}


LABEL_FORMAT = json_format("label", {"type": "string"})
VERIFY_FORMAT = json_format("answer", {"type": "string", "enum": ["yes", "no"]})
"""What is asked of servers that can hold a model to a JSON schema."""

Messages = list[dict[str, str]]


class Examples(NamedTuple):
    """label: mappings of tokens and label (NONE where nothing is shared). verify: of tokens, label and answer, yes or
    no. Both in the order in which prompts have them."""

    label: Sequence[Mapping[str, Any]] = ()
    verify: Sequence[Mapping[str, Any]] = ()


def quoted(value: Any) -> str:
    """A value as JSON on one line, in which only characters that can be seen stand as they are."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else escaped(character) for character in text)


def escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) != 0x7F else "\\u007f"


class Template:
    """A template, called `where` in messages, and the text that it makes of values for `names`."""

    def __init__(self, text: str, names: Mapping[str, str], where: str) -> None:
        """Raises SvdlensError for a syntax error, an unknown name, and a prompt that lacks the list or the label."""
        self.where = where
        environment = ImmutableSandboxedEnvironment(
            undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters["tojson"] = quoted  # Jinja's own is for HTML, where < has to be \u003c
        # The same list has to give the same prompt.
        del environment.filters["random"], environment.globals["lipsum"]
        try:
            tree = environment.parse(text)
            self.template = environment.from_string(text)
        except jinja2.TemplateError as error:
            line = f", line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
            said = (error.message or "").rstrip(".")
            raise SvdlensError(f"{where}{line}: {said}. Templates are written in Jinja2; correct it.") from error
        used = jinja2.meta.find_undeclared_variables(tree)
        known = ", ".join(f"{name} ({what})" for name, what in names.items())
        if unknown := sorted(used - set(names) - set(environment.globals)):
            raise SvdlensError(f"{where}: there is no {unknown[0]!r}. This template can name {known}.")
        if missing := [name for name in names if name not in used and name != "examples"]:
            raise SvdlensError(
                f"{where}: the prompt has no {{{{ {missing[0]} | tojson }}}}, {names[missing[0]]}. Put it in."
            )

    def messages(self, **values: Any) -> Messages:
        """The prompt as the messages of a chat: one of the user. Raises SvdlensError where it cannot be made."""
        try:
            text = self.template.render(values).strip()
        # A template can be wrong in any way that Python knows: 1 / 0, a text called as a function, an include.
        except Exception as error:
            said = str(error).rstrip(".")
            raise SvdlensError(
                f"{self.where}: the prompt cannot be made: {said}. Correct the template, or the examples given to it."
            ) from error
        if not text:
            raise SvdlensError(f"{self.where}: the prompt is empty. Write one, with {{{{ tokens | tojson }}}} in it.")
        return [{"role": "user", "content": text}]


class Prompts:
    """The prompts of one labeller: `label_template` and `verify_template` are texts, which the paths `where` name."""

    def __init__(
        self,
        label_template: str,
        verify_template: str,
        examples: Examples,
        where: tuple[str, str] = ("label prompt", "verify prompt"),
    ) -> None:
        """Raises SvdlensError for a template that is wrong; a trial shows what parsing does not."""
        self.examples = examples
        self.label = Template(label_template, LABEL_NAMES, where[0])
        self.verify = Template(verify_template, VERIFY_NAMES, where[1])
        self.sha256 = {
            "label_prompt": sha256_of_text(label_template),
            "verify_prompt": sha256_of_text(verify_template),
            "examples": sha256_of_text(json.dumps([examples.label, examples.verify], sort_keys=True)),
        }
        self.label_messages(["a"])
        self.verify_messages(["a"], "b")

    def label_messages(self, tokens: Sequence[str]) -> Messages:
        """The prompt that asks what these token texts share."""
        return self.label.messages(tokens=list(tokens), examples=self.examples.label)

    def verify_messages(self, tokens: Sequence[str], label: str) -> Messages:
        """The prompt that asks whether `label` fits most of these token texts."""
        return self.verify.messages(tokens=list(tokens), label=label, examples=self.examples.verify)


def read_prompts(label: Path, verify: Path, examples: Path) -> Prompts:
    """The prompts of two template files and one of examples. Raises SvdlensError for one that is missing or wrong."""
    return Prompts(read_text(label), read_text(verify), read_examples(examples), (str(label), str(verify)))


def read_examples(path: Path) -> Examples:
    """The examples of a YAML file, in its order: a list under `label`, with tokens and label each, and one under
    `verify`, with tokens, label and answer (yes or no). Either may be left out. Raises SvdlensError for anything else.
    """
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise SvdlensError(f"{path} is no YAML ({' '.join(str(error).split())}). Correct it.") from error
    content = {} if content is None else content
    if not isinstance(content, dict) or not set(content) <= {"label", "verify"}:
        raise SvdlensError(f"{path}: examples stand in two lists, under `label` and `verify`, and nothing else does.")
    entries = {}
    for part, keys in (("label", ("tokens", "label")), ("verify", ("tokens", "label", "answer"))):
        listed = content.get(part) or []
        if not isinstance(listed, list):
            raise SvdlensError(f"{path}: `{part}` is no list of examples. Each begins with a hyphen.")
        entries[part] = [
            read_example(entry, keys, f"{path}, {part}, example {number}")
            for number, entry in enumerate(listed, start=1)
        ]
    return Examples(**entries)


def read_example(entry: Any, keys: tuple[str, ...], where: str) -> dict[str, Any]:
    """An example with just these keys, all texts."""
    if not isinstance(entry, dict) or set(entry) != set(keys):
        raise SvdlensError(f"{where}: an example has {', '.join(keys)}, and nothing else. Correct it.")
    tokens, label = entry["tokens"], entry["label"]
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise SvdlensError(f"{where}: `tokens` is no list of texts. Put what YAML takes for something else in quotes.")
    if not isinstance(label, str) or not label.strip():
        raise SvdlensError(f"{where}: `label` is no text. Write one in a few words, or {NONE}.")
    if "answer" not in keys:
        return {"tokens": tokens, "label": label}
    answers = {True: "yes", False: "no", "yes": "yes", "no": "no"}  # without quotes, yes is true in YAML
    answer = entry["answer"]
    if not isinstance(answer, bool | str) or answer not in answers:
        raise SvdlensError(f"{where}: `answer` is {answer!r}. Write yes or no.")
    return {"tokens": tokens, "label": label, "answer": answers[answer]}


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise SvdlensError(
            f"{path}: there is no such file. Correct the path under labellers.llm, or leave the key out for the file "
            "that comes with the project (resources/prompts)."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SvdlensError(f"{path} cannot be read as UTF-8 text ({error}). Correct the file.") from error


def sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
