// Sorts the table of scans by the column whose head is pressed; what is not known stays at the end.
"use strict";

const table = document.querySelector("table.sortable");
const body = table.tBodies[0];
const heads = [...table.tHead.rows[0].cells];

function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  return isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
}

heads.forEach((head, column) => {
  head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.value;
    const sorted = [...body.rows].sort((a, b) => {
      const order = compare(value(a), value(b));
      return down && value(a) !== "" && value(b) !== "" ? -order : order;
    });
    body.append(...sorted);
  });
});
