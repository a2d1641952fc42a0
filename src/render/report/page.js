"use strict";
(() => {
  const rows = [...document.querySelectorAll("[data-row]")];
  const tools = document.querySelector(".tools");
  const search = document.querySelector("#search");
  const found = document.querySelector("#found");
  const every = document.querySelector("#every");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const look = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [row, text] of texts) {
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    for (const section of document.querySelectorAll("section[data-rows]")) {
      section.hidden = words.length > 0 && !section.querySelector("[data-row]:not([hidden])");
    }
    found.textContent = words.length > 0 ? `${shown} of ${rows.length} entries` : "";
  };

  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.key ?? cell.textContent.trim();
  };

  const compare = (one, other) => {
    const numbers = [one, other].map(Number);
    return one !== "" && other !== "" && numbers.every(Number.isFinite)
      ? numbers[0] - numbers[1]
      : one < other ? -1 : one > other ? 1 : 0;
  };

  const sort = (heading) => {
    const body = heading.closest("table").tBodies[0];
    const way = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", way);
    const sign = way === "ascending" ? 1 : -1;
    const sorted = [...body.rows].map((row) => [key(row, heading.cellIndex), row]);
    sorted.sort(([one], [other]) => sign * compare(one, other));
    body.append(...sorted.map(([, row]) => row));
  };

  const open = (all) => {
    for (const details of document.querySelectorAll("details")) details.open = all;
    every.setAttribute("aria-pressed", String(all));
    every.textContent = all ? "Close all" : "Open all";
  };

  search.addEventListener("input", look);
  every.addEventListener("click", () => open(every.getAttribute("aria-pressed") !== "true"));
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sort(button.parentElement));
  }
  addEventListener("beforeprint", () => open(true));
  tools.hidden = false;
})();
