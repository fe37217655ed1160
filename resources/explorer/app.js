// The page: what the address asks for is loaded and shown.
"use strict";

(function () {
  const { byId, notice, messageOf } = svdlens.dom;
  const { agreement, sweep, colours, lists: listViews, state, choices, overview, detail, results } = svdlens;
  let renderings = 0;
  /** @type {Overview | null} */
  let shownOverview = null;

  /** @param {Asked} asked */
  async function render(asked) {
    const rendering = ++renderings;
    listViews.forgetLines();
    const started = performance.now();
    const waiting = setTimeout(() => byId("main").classList.add("waiting"), 150);
    try {
      const chosen = await choices.chosenBy(asked);
      const query = asked.view === "search" ? asked.q : undefined;
      const putOnPage = await (query ? searchView(chosen, query) : asked.view === "agreement" ? agreementView(chosen) : gridView(chosen));
      if (rendering !== renderings) return;
      putOnPage();
      document.documentElement.dataset.took = String(Math.round(performance.now() - started));
    } catch (error) {
      if (rendering !== renderings) return;
      byId("main").replaceChildren(notice(messageOf(error)));
      console.error(error);
    } finally {
      clearTimeout(waiting);
      if (rendering === renderings) {
        byId("main").classList.remove("waiting");
        document.documentElement.dataset.shown = location.hash;
      }
    }
  }

  /**
   * The results of a search, as what puts them on the page.
   * @param {Chosen} chosen
   * @param {string} query
   */
  async function searchView(chosen, query) {
    const made = await results.page(chosen, query, chosen.asked);
    return () => {
      shownOverview = null;
      document.title = `\u201c${query}\u201d \u2013 svdlens`;
      show(chosen, "search-view", [made]);
    };
  }

  /**
   * Two labellers beside each other, as what puts them on the page.
   * @param {Chosen} chosen
   */
  async function agreementView(chosen) {
    const made = await agreement.page(chosen);
    return () => {
      shownOverview = null;
      document.title = `Where labellers differ, ${svdlens.text.matrix(chosen.matrix)}, ${svdlens.text.source(chosen.source)} \u2013 svdlens`;
      show(chosen, "search-view", [made]);
    };
  }

  /**
   * Grid and lists, as what puts them on the page.
   * @param {Chosen} chosen
   */
  async function gridView(chosen) {
    const shown = await overview.overviewOf(chosen, shownOverview);
    const { cell, why } = chosen.random ? { cell: null, why: null } : overview.cellAsked(chosen, shown.cells);
    const panel = await detail.panel(chosen, cell || { layer: -1, head: -1, found: null }, why);
    overview.mark(shown, cell, chosen);
    return () => {
      shownOverview = shown;
      show(chosen, chosen.other ? "grid-view beside-view" : "grid-view", [shown.made, panel]);
    };
  }

  /**
   * Put it on the page, and the focus back on what had it.
   * @param {Chosen} chosen
   * @param {string} view
   * @param {HTMLElement[]} made
   */
  function show(chosen, view, made) {
    const focused = document.activeElement && document.activeElement.id;
    choices.showChoices(chosen);
    const main = byId("main");
    main.className = view;
    const before = [...main.children];
    if (before.length === made.length && before[0] === made[0]) before[1].replaceWith(made[1]);
    else main.replaceChildren(...made);
    const query = /** @type {HTMLInputElement} */ (byId("query"));
    if (document.activeElement !== query) query.value = chosen.asked.q || "";
    const again = focused ? document.getElementById(focused) : null;
    if (again && document.activeElement !== again) again.focus({ preventScroll: true });
    showCompare(chosen);
  }

  /**
   * The button that puts something beside, or takes it away.
   * @param {Chosen} chosen
   */
  function showCompare(chosen) {
    const compare = /** @type {HTMLButtonElement} */ (byId("compare"));
    const beside = choices.firstBeside(chosen);
    compare.setAttribute("aria-pressed", String(Boolean(chosen.other)));
    compare.disabled = !beside;
    compare.title = beside ? "Put another setting or model beside this one" : "This sweep has one model in one setting";
    const changes = chosen.other ? { model2: null, setting2: null } : { ...beside, layer: chosen.random ? null : chosen.asked.layer };
    compare.onclick = () => state.go({ ...changes, view: null });
  }

  // --- the frame of the page ---

  /** @param {string} theme */
  function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", `${theme === "dark" ? "Light" : "Dark"} colours`);
  }

  /**
   * What is remembered under a key, once `value` is, if there is one; some browsers give pages from disk no memory.
   * @param {string} key
   * @param {string} [value]
   */
  function remembered(key, value) {
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  function start() {
    const theme = remembered("svdlens-theme");
    setTheme(theme || colours.theme());
    byId("theme").addEventListener("click", () => {
      const next = colours.theme() === "dark" ? "light" : "dark";
      remembered("svdlens-theme", next);
      setTheme(next);
      render(state.parse(location.hash));
    });
    byId("help").addEventListener("click", () => /** @type {HTMLDialogElement} */ (byId("guide")).showModal());
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("main").focus();
    });
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      const q = /** @type {HTMLInputElement} */ (byId("query")).value;
      if (q.trim()) state.go({ view: "search", q, token: null, find: null });
    });
    document.addEventListener("keydown", (event) => {
      const { target } = event;
      const typing = target instanceof Element && target.matches("input:not([type='radio']), select, textarea");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      byId("query").focus();
    });
    if (!svdlens.catalogue || !sweep.models().length) {
      byId("main").replaceChildren(notice("There are no data beside this page. Build it with: snakemake explorer"));
      return;
    }
    if (typeof DecompressionStream === "undefined") {
      byId("main").replaceChildren(notice("This browser cannot unpack the data. Chrome 105, Firefox 113 or Safari 16.4, or one newer, can."));
      return;
    }
    state.onChange(render);
    state.start();
  }

  start();
})();
