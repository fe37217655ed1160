"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { openPage } = require("./page.js");

const VIEW = {
  view: "search", model: "a model & another", setting: "fold+center", matrix: "mlp_in", readout: "W_U", labels: "coherence:q < 0.05",
  colour: "top", side: "read", layer: "3", head: "0", open: "12", only: "beyond", model2: "other", setting2: "raw",
  q: " </script>=#%00\u706b", find: "labels", where: "here", token: [" fire", "a,b", "", "\u0000"],
};

test("every view comes back from its address", () => {
  const { state } = openPage(["state"]).svdlens;
  const address = state.address(VIEW);
  assert.deepEqual(state.parse(address), { ...VIEW, token: [" fire", "a,b", "", "\u0000"] });
  for (const [key, value] of Object.entries(VIEW)) assert.deepEqual(state.parse(state.address({ [key]: value })), { [key]: value });
});

test("what is not asked for is not in the address, nor what no view has", () => {
  const { state } = openPage(["state"]).svdlens;
  assert.equal(state.address({ model: null, setting: undefined, q: "" }), "#");
  assert.deepEqual(state.parse("#constructor=1&__proto__=2&model=x"), { model: "x" });
});

test("changes are to what is shown, and null takes a key out", () => {
  const page = openPage(["state"]);
  const { state } = page.svdlens;
  const shown = [];
  state.onChange((asked) => shown.push(asked));
  page.location.hash = "#model=x&layer=1";
  state.start();
  assert.equal(state.link({ layer: null, head: 2 }), "#model=x&head=2");
  state.go({ layer: 0 });
  assert.equal(page.location.hash, "#model=x&layer=0");
  page.visit(page.location.hash);
  assert.deepEqual(shown, [{ model: "x", layer: "1" }, { model: "x", layer: "0" }]);
});
