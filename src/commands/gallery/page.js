
"use strict";
// Texts from outside go into the page as text alone, never as HTML.
(() => {
  const byId = (id) => document.getElementById(id);
  const { about, cards } = JSON.parse(byId("data").textContent);
  const list = byId("cards");
  const items = [...list.children];
  // As in the page: what would turn the direction of other texts, or is no character, is shown as a mark.
  const odd = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]/gu;
  const shown = (text) => String(text).replace(odd, "\ufffd");
  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = shown(text);
    return element;
  };
  const dollars = (micros) => "$" + (micros / 1e6).toFixed(6).replace(/0{1,4}$/, "");
  const words = (name) => (name[0] || "").toUpperCase() + name.slice(1).replaceAll("_", " ");
  // What may have been paid is told so first, whatever stopped it.
  const advice = (card) => about.advice[card.state === "parked" ? "unknown_outcome" : card.failure.class];
  const safe = (link) => (/^(\.{1,2}\/|https?:\/\/)/.test(link || "") ? link : null);
  const times = (size) => size.replace("x", " × ");

  const shared = new Map();
  const hay = [];
  cards.forEach((card, at) => {
    if (!shared.has(card.key)) shared.set(card.key, []);
    shared.get(card.key).push(at);
    const failure = card.failure || {};
    hay.push([card.id, card.prompt, card.revised_prompt, card.key, card.request_id, failure.class, failure.message,
      failure.code, failure.request_id].filter(Boolean).join("\n").toLowerCase());
  });

  const kinds = [
    ["made", (card) => card.state === "made"],
    ["failed", (card) => card.state === "failed"],
    ["parked", (card) => card.state === "parked"],
    ["removed", (card) => card.state === "removed"],
    ["waiting", (card) => card.state === "waiting"],
    ["substituted", (card) => Boolean(card.instead_of)],
    ["replaced", (card) => Boolean(card.how)],
    ["not as asked", (card) => Boolean(card.mismatch)],
    ["no picture", (card) => Boolean(card.problem)],
    ["shared", (card) => shared.get(card.key).length > 1],
  ];
  const worst = { failed: 0, parked: 1, removed: 2, waiting: 3, made: 4 };
  const text = (a, b) => a.localeCompare(b, "en", { numeric: true });
  const orders = {
    row: (a, b) => a - b,
    state: (a, b) => worst[cards[a].state] - worst[cards[b].state] || Boolean(cards[b].problem) - Boolean(cards[a].problem) || a - b,
    new: (a, b) => (cards[b].at || 0) - (cards[a].at || 0) || a - b,
    cost: (a, b) => (cards[b].cost || 0) - (cards[a].cost || 0) || a - b,
    id: (a, b) => text(cards[a].id, cards[b].id) || a - b,
    model: (a, b) => text(cards[a].model || "", cards[b].model || "") || a - b,
  };

  let kind = null;
  let sorted = cards.map((_, at) => at);
  let sortedBy = "row";
  let view = [];

  function matches(at, terms, model, size, failed) {
    const card = cards[at];
    if (kind && !kind(card)) return false;
    if (model && card.model !== model) return false;
    if (size && card.size !== size) return false;
    if (failed && card.failure?.class !== failed) return false;
    return terms.every((term) => hay[at].includes(term));
  }

  // Only so many cards are in the page at a time, and more as they come into sight: thousands would be laid out anew
  // with every letter that is typed.
  const PAGE = 200;
  let drawn = 0;
  function draw(upto) {
    if (upto <= drawn) return;
    list.append(...view.slice(drawn, upto).map((at) => items[at]));
    drawn = Math.min(upto, view.length);
    sight.unobserve(byId("more"));
    byId("more").hidden = drawn >= view.length;
    if (drawn < view.length) sight.observe(byId("more"));
  }
  const sight = new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting)) draw(drawn + PAGE);
  }, { rootMargin: "1500px 0px" });

  function update() {
    const order = byId("sort").value;
    if (order !== sortedBy) {
      sorted.sort(orders[order]);
      sortedBy = order;
    }
    const terms = byId("q").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [model, size, failed] = ["model", "size", "class"].map((id) => byId(id).value);
    const before = view;
    view = sorted.filter((at) => matches(at, terms, model, size, failed));
    if (!drawn || view.length !== before.length || view.some((at, place) => at !== before[place])) {
      list.replaceChildren();
      drawn = 0;
      draw(PAGE);
    }
    const all = view.length === cards.length;
    const different = shared.size < cards.length ? `, ${shared.size.toLocaleString("en")} different` : "";
    byId("count").textContent = all ? `${cards.length.toLocaleString("en")} images${different}` : `${view.length.toLocaleString("en")} of ${cards.length.toLocaleString("en")} images`;
    byId("none").hidden = view.length > 0;
    for (const group of byId("problems").children) {
      group.setAttribute("aria-pressed", String(Boolean(failed) && group.dataset.name === failed));
    }
  }

  function press(button, wanted) {
    kind = wanted;
    for (const chip of byId("chips").children) chip.setAttribute("aria-pressed", String(chip === button));
    update();
  }

  function chips() {
    const chip = (name, count, wanted) => {
      const button = make("button", "", name);
      button.type = "button";
      button.append(make("span", "", count.toLocaleString("en")));
      button.setAttribute("aria-pressed", String(!wanted));
      button.addEventListener("click", () => (kind === wanted && wanted ? press(byId("chips").firstChild, null) : press(button, wanted)));
      byId("chips").append(button);
    };
    chip("All", cards.length, null);
    for (const [name, wanted] of kinds) {
      const count = cards.filter(wanted).length;
      if (count > 0) chip(name[0].toUpperCase() + name.slice(1), count, wanted);
    }
  }

  function choices(id, of, label = (value) => value) {
    const counts = new Map();
    for (const card of cards) {
      const value = of(card);
      if (value) counts.set(value, (counts.get(value) || 0) + 1);
    }
    for (const [value, count] of [...counts].sort((a, b) => b[1] - a[1] || text(a[0], b[0]))) {
      const option = make("option", "", `${label(value)} (${count})`);
      option.value = value;
      byId(id).append(option);
    }
    return counts.size;
  }

  function problems() {
    const groups = new Map();
    for (const card of cards) {
      if (!card.failure || (card.state !== "failed" && card.state !== "parked")) continue;
      const name = `${card.state} ${card.failure.class}`;
      const group = groups.get(name) || { count: 0, card };
      group.count += 1;
      groups.set(name, group);
    }
    const sections = [...groups].sort((a, b) => b[1].count - a[1].count);
    for (const [, { count, card }] of sections) {
      const name = card.failure.class;
      const button = make("button", `problem-group ${card.state}`);
      button.type = "button";
      button.dataset.name = name;
      button.setAttribute("aria-pressed", "false");
      button.append(make("span", "n", count), make("span", "class", card.state === "parked" ? `${words(name)}, parked` : words(name)), make("span", "said", card.failure.message));
      if (advice(card)) button.append(make("span", "do", advice(card)));
      button.addEventListener("click", () => {
        byId("class").value = byId("class").value === name ? "" : name;
        update();
      });
      byId("problems").append(button);
    }
    byId("problems").hidden = sections.length === 0;
  }

  // The large view.
  const box = byId("box");
  let now = -1;
  function say(title, body, className) {
    if (!body) return;
    const section = make("section", className || "");
    section.append(make("h3", "", title));
    for (const one of [body].flat()) {
      const p = make("p", "", one);
      p.dir = "auto";
      section.append(p);
    }
    byId("said").append(section);
  }
  function fact(title, body, className) {
    if (body === undefined || body === null || body === "") return;
    const dd = make("dd", className || "");
    dd.append(body instanceof Node ? body : shown(body));
    byId("facts").append(make("dt", "", title), dd);
  }
  function others(at) {
    const rows = shared.get(cards[at].key).filter((other) => other !== at);
    if (rows.length === 0) return null;
    const said = make("span");
    rows.slice(0, 20).forEach((other, place) => {
      const button = make("button", "", cards[other].id);
      button.type = "button";
      button.addEventListener("click", () => show(other));
      said.append(place ? ", " : "", button);
    });
    if (rows.length > 20) said.append(` and ${rows.length - 20} more`);
    return said;
  }
  function badge(name, word) {
    byId("box-badges").append(make("span", `badge ${name}`, word));
  }
  function show(at) {
    const card = cards[at];
    const place = view.indexOf(at);
    now = at;
    byId("which").textContent = place < 0 ? "" : `${(place + 1).toLocaleString("en")} of ${view.length.toLocaleString("en")}`;
    byId("box-id").textContent = shown(card.id) + (card.take ? ` · take ${card.take}` : "");
    byId("box-badges").replaceChildren();
    badge(card.state, card.state);
    if (card.instead_of) badge("substituted", "substituted");
    if (card.how) badge("substituted", "replaced");
    if (card.mismatch) badge("mismatch", "not as asked");
    if (card.problem) badge("problem", "no picture");
    byId("said").replaceChildren();
    byId("facts").replaceChildren();
    picture(at);
    const failure = card.failure;
    if (failure && card.state !== "waiting") {
      say(words(failure.class), [failure.message, advice(card)].filter(Boolean), card.state === "parked" ? "warn" : "bad");
    } else if (failure) {
      say(`Stumbled, and is tried again: ${words(failure.class)}`, failure.message, "warn");
    }
    if (card.problem) say("No picture", card.problem, "bad");
    if (card.instead_of) say("Substituted", `${card.instead_of} could not make it; ${card.model} did.`);
    if (card.how) say("Replaced by hand", card.how);
    if (card.mismatch) say("Not as asked", card.mismatch, "warn");
    say("Prompt", card.prompt);
    if (card.revised_prompt !== card.prompt) say("As the model rewrote it", card.revised_prompt);
    details(card, at);
    const link = safe(card.link);
    byId("full").hidden = !link;
    if (link) byId("full").href = link;
    byId("back").disabled = place <= 0;
    byId("on").disabled = place < 0 || place + 1 >= view.length;
    if (!box.open) box.showModal();
    document.querySelector(".side").scrollTop = 0;
  }
  function details(card, at) {
    const failure = card.failure || {};
    fact("Row", card.row);
    fact("Model", card.model);
    fact("Size", card.size && times(card.size));
    fact("Quality", card.quality);
    fact("Cost", card.cost === undefined ? null : dollars(card.cost));
    fact("Made", card.at && new Date(card.at).toLocaleString());
    fact("Failed", failure.at && card.state !== "made" ? new Date(failure.at).toLocaleString() : null);
    fact("File", card.bytes && `${(card.content_type || "").replace("image/", "").toUpperCase()}, ${Math.max(1, Math.round(card.bytes / 1024)).toLocaleString("en")} KiB`);
    fact("Stands", card.state === "made" ? null : card.phase);
    fact("Attempts", card.attempts);
    fact("HTTP", failure.status);
    fact("Code", failure.code, "code");
    fact("Shared with", others(at));
    fact("Request", card.request_id || failure.request_id, "code");
    fact("Key", card.key, "code");
    fact("Place", card.place, "code");
    fact("Link ends", card.expires && new Date(card.expires).toLocaleString());
  }
  function picture(at) {
    const card = cards[at];
    const small = items[at].querySelector("img");
    const large = byId("large");
    large.hidden = !small;
    box.firstElementChild.classList.toggle("bare", !small);
    byId("nothing").hidden = Boolean(small);
    if (!small) {
      large.removeAttribute("src");
      byId("nothing").textContent = shown(card.problem || (card.failure && words(card.failure.class)) || card.phase || card.state);
      return;
    }
    large.src = small.src;
    large.alt = shown(card.prompt || card.id);
    const link = safe(card.link);
    // Only what lies beside the page: a URL would tell somebody else what is looked at.
    if (link && link.startsWith(".")) {
      const full = new Image();
      full.onload = () => { if (now === at && box.open) large.src = full.src; };
      full.src = link;
    }
  }
  function turn(by) {
    const next = view[view.indexOf(now) + by];
    if (next !== undefined) show(next);
  }
  function columns() {
    const first = view[0] === undefined ? null : items[view[0]].offsetTop;
    const end = view.slice(0, drawn).findIndex((at) => items[at].offsetTop !== first);
    return Math.max(1, end < 0 ? drawn : end);
  }
  function focus(place) {
    if (place < 0) return;
    draw(place + 1);
    items[view[place]].querySelector(".open").focus();
  }

  list.addEventListener("click", (event) => {
    const link = event.target.closest(".open");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(Number(link.parentElement.id.slice(1)));
  });
  list.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    const item = event.target.closest(".card");
    if (step === undefined || !item || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = view.indexOf(Number(item.id.slice(1)));
    const last = event.key === "End" ? drawn - 1 : view.length - 1;
    event.preventDefault();
    focus(Math.min(last, Math.max(0, place + step)));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (box.open) {
      if (event.key === "ArrowLeft") turn(-1);
      else if (event.key === "ArrowRight") turn(1);
      else return;
      event.preventDefault();
      return;
    }
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      byId("q").focus();
      byId("q").select();
    } else if (event.target === byId("q") && (event.key === "ArrowDown" || event.key === "Enter") && view.length) {
      event.preventDefault();
      focus(0);
    } else if (event.target === byId("q") && event.key === "Escape") {
      byId("q").value = "";
      update();
    }
  });
  box.addEventListener("close", () => focus(view.indexOf(now)));
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  byId("close").addEventListener("click", () => box.close());
  byId("back").addEventListener("click", () => turn(-1));
  byId("on").addEventListener("click", () => turn(1));
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("q").addEventListener("input", update);
  for (const id of ["model", "size", "class", "sort"]) byId(id).addEventListener("change", update);
  byId("clear").addEventListener("click", () => {
    for (const id of ["q", "model", "size", "class"]) byId(id).value = "";
    press(byId("chips").firstChild, null);
    byId("q").focus();
  });

  chips();
  choices("model", (card) => card.model);
  choices("size", (card) => card.size, times);
  byId("classes").hidden = choices("class", (card) => card.failure?.class, words) === 0;
  problems();
  byId("tools").hidden = false;
  update();
})();
