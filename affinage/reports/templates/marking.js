"use strict";
// one answer at a time; marks live in the browser's storage until they are saved to a file
const page = JSON.parse(document.getElementById("answers").textContent);
const part = (name) => document.getElementById(name);
const stored = "affinage marks " + page.key;
let marks = {};
try { marks = JSON.parse(localStorage.getItem(stored)) || {}; } catch (error) { marks = {}; }
let place = page.answers.findIndex((one, number) => !(number in marks));
if (place < 0) place = 0;

function show() {
  const one = page.answers[place];
  for (const name of ["question", "expected", "answer"]) part(name).textContent = one[name] || "(empty)";
  const done = Object.keys(marks).length;
  part("place").textContent = `Answer ${place + 1} of ${page.answers.length}, ${done} marked`;
  for (const button of document.querySelectorAll("[data-mark]")) {
    button.setAttribute("aria-pressed", String(marks[place] === Number(button.dataset.mark)));
  }
}
function go(step) {
  place = Math.min(page.answers.length - 1, Math.max(0, place + step));
  show();
}
function mark(level) {
  marks[place] = level;
  try { localStorage.setItem(stored, JSON.stringify(marks)); } catch (error) { part("saved").textContent = "This browser keeps nothing: save before you close it."; }
  go(1);
}
function file() {
  const given = page.answers.map((one, number) => ({ ...one, mark: marks[number] ?? null })).filter((one) => one.mark);
  return JSON.stringify({ format: page.format, model: page.model, marks: given }, null, 1);
}
function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([file()], { type: "application/json" }));
  link.download = `${page.model}.json`;
  link.click();
  part("saved").textContent = `Saved ${Object.keys(marks).length} marks as ${link.download}: put it into marks/`;
}
for (const button of document.querySelectorAll("[data-mark]")) button.addEventListener("click", () => mark(Number(button.dataset.mark)));
part("back").addEventListener("click", () => go(-1));
part("on").addEventListener("click", () => go(1));
part("save").addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^[1-5]$/.test(event.key)) mark(Number(event.key));
  else if (event.key === "ArrowLeft") go(-1);
  else if (event.key === "ArrowRight") go(1);
});
show();
