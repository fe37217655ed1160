// A sheet of lists to label, one at a time, with the keyboard alone if one likes.
"use strict";
var svdlens = window.svdlens || {};

/** @typedef {"no" | "semantic" | "grammatical" | "orthographic"} Answer */
/** @typedef {{answer: Answer, label: string}} Said What was said of one list. */
/** @typedef {[id: string, tokens: string[], cell: string]} SheetList The cell is that of its tokens in the CSV. */
/** @typedef {{sheet: string, columns: string[], lists: SheetList[]}} SheetData */

svdlens.sheet = (function () {
  const { element, byId, announce, messageOf } = svdlens.dom;
  /** @type {[answer: Answer, key: string, name: string, help: string][]} */
  const ANSWERS = [
    ["no", "n", "No", "nothing, or too little"],
    ["semantic", "s", "Yes, meaning", "a topic, things of a kind"],
    ["grammatical", "g", "Yes, grammar", "parts of speech, inflections"],
    ["orthographic", "o", "Yes, spelling", "pieces of words, endings, signs"],
  ];
  const SHOWN = ["start", "list", "end"];

  /** @type {SheetData} */
  const { sheet, columns, lists } = JSON.parse(byId("data").textContent || "");
  const label = /** @type {HTMLInputElement} */ (byId("label"));
  const person = /** @type {HTMLInputElement} */ (byId("person"));
  const bar = /** @type {HTMLProgressElement} */ (byId("bar"));
  /** @type {Record<string, Said>} by id of the list */
  let said = {};
  let place = 0;

  // --- what is kept in the browser

  function storageName() {
    return `svdlens label sheet ${sheet} ${person.value}`;
  }

  function keep() {
    try {
      localStorage.setItem(storageName(), JSON.stringify(said));
      localStorage.setItem(`svdlens label sheet ${sheet}`, person.value);
    } catch (error) {
      complain(`This browser keeps nothing of what you fill in (${messageOf(error)}). Download the file before you close the page.`);
    }
  }

  /** What is kept under a name; what is no such thing is nothing.
   * @param {string} name
   * @returns {string | null}
   */
  function kept(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  }

  function restore() {
    said = {};
    try {
      const saved = JSON.parse(kept(storageName()) || "{}");
      for (const [id] of lists) {
        const one = saved[id];
        if (one && ANSWERS.some(([answer]) => answer === one.answer)) said[id] = { answer: one.answer, label: String(one.label) };
      }
    } catch {
      complain("What this browser has kept under your name cannot be read, and you begin anew.");
    }
  }

  /** @param {string} text */
  function complain(text) {
    byId("problem").hidden = false;
    byId("problem").textContent = text;
  }

  // --- the file

  /** The file that is handed in: the sheet with what was said so far. */
  function file() {
    /** @type {CsvValue[][]} */
    const rows = lists.map(([id, , cell], number) => {
      const one = said[id];
      const yes = one && one.answer !== "no";
      return [number + 1, lists.length, id, cell, one ? (yes ? "yes" : "no") : "", yes ? one.answer : "", yes ? one.label : ""];
    });
    return /** @type {CsvFile} */ ([`sheet-${person.value}`, columns, rows]);
  }

  // --- what is shown

  /** @param {string} name one of SHOWN */
  function reveal(name) {
    for (const one of SHOWN) byId(one).hidden = one !== name;
    for (const one of ["progress", "bar", "download"]) byId(one).hidden = name === "start";
  }

  function count() {
    return lists.filter(([id]) => said[id]).length;
  }

  function showProgress() {
    const done = count();
    byId("progress").textContent = `${done} of ${lists.length} labelled`;
    bar.max = lists.length;
    bar.value = done;
  }

  /** Show the list at `place`, or, behind the last, that all is done. */
  function show() {
    showProgress();
    if (place >= lists.length && count() === lists.length) {
      reveal("end");
      byId("done").focus();
      return;
    }
    place = Math.min(place, lists.length - 1);
    const [id, tokens] = lists[place];
    reveal("list");
    byId("which").textContent = `List ${place + 1} of ${lists.length}`;
    byId("tokens").replaceChildren(...tokens.map((text) => element("li", {}, svdlens.text.token(text))));
    showAnswer(id);
    byId("which").focus();
    announce(`List ${place + 1} of ${lists.length}`);
    scrollTo(0, 0);
  }

  /** @param {string} id */
  function showAnswer(id) {
    const one = said[id];
    for (const [answer] of ANSWERS) /** @type {HTMLInputElement} */ (byId(`answer-${answer}`)).checked = Boolean(one) && one.answer === answer;
    byId("what").hidden = !one || one.answer === "no";
    label.value = one ? one.label : "";
  }

  /** @param {number} to */
  function go(to) {
    place = Math.max(0, to);
    show();
  }

  /** To the next list without an answer, from the beginning once more where the rest has one. */
  function goOn() {
    const free = (/** @type {SheetList} */ [id]) => !said[id];
    const later = lists.findIndex((one, number) => number > place && free(one));
    const first = lists.findIndex(free);
    go(later >= 0 ? later : first >= 0 ? first : lists.length);
  }

  /** @param {Answer} answer */
  function take(answer) {
    const [id] = lists[place];
    said[id] = { answer, label: answer === "no" || !said[id] ? "" : said[id].label };
    keep();
    showAnswer(id);
    showProgress();
    announce(`${answer === "no" ? "no" : `yes, ${answer}`}, list ${place + 1}`);
  }

  function takeBack() {
    delete said[lists[place][0]];
    keep();
    showAnswer(lists[place][0]);
    showProgress();
    announce(`no answer, list ${place + 1}`);
  }

  function download() {
    /** @type {HTMLButtonElement} */ (byId("download").querySelector("button")).click();
  }

  /**
   * An answer by its key: what asks for no words goes on at once.
   * @param {Answer} answer
   */
  function answerByKey(answer) {
    take(answer);
    if (answer === "no") afterAnswer();
    else label.focus();
  }

  /** On to the next list, or behind the last one to what has no answer yet. */
  function afterAnswer() {
    if (place + 1 < lists.length) go(place + 1);
    else goOn();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || !byId("start").hidden) return;
    if (event.target === label) {
      if (event.key === "Enter" && !event.isComposing) {
        event.preventDefault();
        afterAnswer();
      } else if (event.key === "Escape") byId("which").focus();
      return;
    }
    const onList = !byId("list").hidden;
    const answer = ANSWERS.find(([, key]) => key === event.key.toLowerCase());
    // Arrows choose among radio buttons.
    const isRadio = event.target instanceof HTMLInputElement && event.target.type === "radio";
    if (answer && onList) answerByKey(answer[0]);
    else if (event.key === "ArrowLeft" && !isRadio) go(onList ? place - 1 : lists.length - 1);
    else if (event.key === "ArrowRight" && !isRadio && onList) go(place + 1);
    else if (event.key.toLowerCase() === "u" && onList) goOn();
    else if (event.key === "Delete" && onList) takeBack();
    else if (event.key.toLowerCase() === "d") download();
    else return;
    event.preventDefault();
  }

  // --- the page

  byId("answers").append(
    ...ANSWERS.map(([answer, key, name, help]) =>
      element(
        "label",
        {},
        element("input", { type: "radio", name: "answer", id: `answer-${answer}`, onchange: () => take(answer), "aria-keyshortcuts": key }),
        element("span", {}, `${name} `, element("kbd", {}, key.toUpperCase()), element("small", {}, help))
      )
    )
  );
  byId("download").append(svdlens.csv.button(file));
  byId("back").addEventListener("click", () => go(place - 1));
  byId("next").addEventListener("click", () => go(place + 1));
  byId("unlabelled").addEventListener("click", goOn);
  label.addEventListener("input", () => {
    const one = said[lists[place][0]];
    if (one) {
      one.label = label.value;
      keep();
    }
  });
  document.addEventListener("keydown", onKey);
  byId("start").addEventListener("submit", (event) => {
    event.preventDefault();
    person.value = person.value.trim();
    if (!person.value) return;
    restore();
    keep();
    place = -1;
    goOn();
  });
  person.value = kept(`svdlens label sheet ${sheet}`) || "";
  reveal("start");
  person.focus();

  return { file };
})();
