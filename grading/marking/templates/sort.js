"use strict";
const table = document.querySelector("table.class");
const rows = [...table.tBodies[0].rows];

function key(row, column, numeric) {
  const told = row.cells[column].dataset.sort;
  return told === "" ? null : numeric ? Number(told) : told.toLocaleLowerCase();
}

function sort(heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  const numeric = heading.dataset.numeric !== undefined;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const column = heading.cellIndex;
  rows.sort((a, b) => {
    const [x, y] = [key(a, column, numeric), key(b, column, numeric)];
    if (x === null || y === null) return (x === null) - (y === null); // nothing known: last
    const order = numeric ? x - y : x.localeCompare(y);
    return down ? -order : order;
  });
  table.tBodies[0].append(...rows);
}

const text = document.querySelector("#words");
const mark = document.querySelector("#mark");

function filter() {
  const wanted = text.value.toLocaleLowerCase();
  for (const row of rows) {
    const fits = row.textContent.toLocaleLowerCase().includes(wanted);
    row.hidden = !fits || (mark.value !== "" && row.dataset.mark !== mark.value);
  }
  document.querySelector("#shown").textContent = rows.filter((row) => !row.hidden).length;
}

for (const button of table.querySelectorAll("th button"))
  button.addEventListener("click", () => sort(button.parentElement));
text.addEventListener("input", filter);
mark.addEventListener("input", filter);
document.querySelector("#filter").hidden = false;
