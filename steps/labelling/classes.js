"use strict";
// Names of the labels, merging and export with their history; and the training.
function copy(field) {
  field.select();
  if (!navigator.clipboard) return document.execCommand("copy");  // no secure context
  navigator.clipboard.writeText(field.value).then(() => hint("copied"), () => hint("press Ctrl-C to copy"));
}

async function manage() {
  await flushing;
  const rows = classes.map(label => {
    const name = made("input", {value: nameOf(label), maxLength: 200, ariaLabel: `name of ${label}`});
    const into = made("select", {ariaLabel: `label that ${label} is merged into`}, made("option", {value: ""}, "merge into …"),
      ...classes.filter(other => other !== label).map(other => made("option", {value: other}, nameOf(other))));
    name.onchange = () => name.value.trim() && change("names", {[label]: name.value.trim()}, ["names", {[label]: nameOf(label)}]);
    into.onchange = () => confirm(`Give ${named(label)?.count ?? 0} images labelled ${nameOf(label)} the label ${nameOf(into.value)}?`) ? change("merge", {label, into: into.value}, ["undo", {}]) : into.value = "";
    const key = made("i", {className: "key"});
    key.style.background = colour(label);
    return made("tr", {}, made("td", {}, key, label), made("td", {}, name), made("td", {}, into));
  });
  at("class-list").replaceChildren(...rows.length ? rows : [made("tr", {}, made("td", {}, "There is no label yet: press N on an image."))]);
  if (!at("manage").open) { at("changing").textContent = ""; at("manage").showModal(); }
  const lines = await ask("history").catch(() => []);
  at("history").replaceChildren(...lines.map(one => made("li", {}, `${when(new Date(one.at).toISOString())}: ${one.text}`)));
}

async function change(path, body, back) {
  at("changing").textContent = "Writing into the table, which takes about 20 seconds …";
  at("manage").inert = true;
  try {
    const next = await ask(path, body);
    at("classes").replaceChildren(); at("known").replaceChildren();
    classes = [];
    show(next);
    showChoices();
    at("changing").replaceChildren("Written. ", back ? made("button", {onclick: () => change(...back)}, "Undo") : "");
  } catch (error) { at("changing").textContent = error.message; }
  at("manage").inert = false;
  await manage();
}

const SAID = {none: "Not started.", saving: "Writing the labels into the table …", running: "Training; you can label meanwhile."};

let refused = "";

async function showTraining(start = false) {
  let found;
  if (start) await flushing;
  if (start) refused = await ask("training", {}).then(() => "", error => error.message);
  try { found = await ask("training"); } catch (error) { return at("training-state").textContent = error.message; }
  const runs = ["saving", "running"].includes(found.state), well = found.status === 0;
  if (!runs) refused = "";
  at("command").value = found.command;
  at("training-state").textContent = refused || (found.state !== "ended" ? SAID[found.state] : well ? "Done." : "It failed.");
  at("training-lines").textContent = found.lines.join("\n");
  at("training-lines").hidden = !found.lines.length;
  at("train").textContent = runs ? "Training …" : found.state === "none" ? "Train" : well ? "Trained" : "Training failed";
  clearTimeout(showTraining.timer);
  if (runs && !over) showTraining.timer = setTimeout(showTraining, 2000);
}

at("labels").onclick = manage;
at("train").onclick = () => { at("training").showModal(); showTraining(); };
at("start").onclick = () => showTraining(true);
at("copy-command").onclick = () => copy(at("command"));
for (const id of ["manage", "training"]) at("close-" + id).onclick = () => at(id).close();
