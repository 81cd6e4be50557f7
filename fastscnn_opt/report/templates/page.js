"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Light or dark: the system's choice, until the button says otherwise.
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.style.colorScheme = dark ? "light" : "dark";
});

// Sorting: figures from the largest, texts from A; a second click reverses the order. Unknown values come last.
for (const button of all(".sortable th button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement, table = heading.closest("table");
    const figures = button.dataset.figures === "1", column = heading.cellIndex;
    const up = heading.ariaSort === "none" ? !figures : heading.ariaSort === "descending";
    for (const other of all("th", table.tHead)) other.ariaSort = "none";
    heading.ariaSort = up ? "ascending" : "descending";
    const valueOf = (row) => row.cells[column].dataset.value;
    const compare = (one, other) => (figures ? one - other : one.localeCompare(other));
    const rows = [...table.tBodies[0].rows];
    rows.sort((one, other) => {
      const [a, b] = [valueOf(one), valueOf(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return (up ? 1 : -1) * compare(a, b);
    });
    table.tBodies[0].append(...rows);
  });
}

for (const button of all(".copy")) {
  button.addEventListener("click", async () => {
    const text = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      // A page from the disk may have no access to the clipboard, so select the text for Ctrl-C.
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// Each chart exists for a wide and for a narrow page. Expressions are interpreted, not evaluated as code.
const narrow = matchMedia("screen and (max-width: 760px)");
const drawCharts = () => Promise.all(all("[data-chart]").map((place) => {
  const spec = data.charts[place.dataset.chart][narrow.matches ? "narrow" : "wide"];
  return vegaEmbed(place, spec, { renderer: "svg", actions: false, ast: true, tooltip: { theme: "report" } });
}));
narrow.addEventListener("change", drawCharts);
drawCharts().then(() => { document.body.dataset.charts = "drawn"; });

const cell = (kind, text, title) => {
  const made = document.createElement(kind);
  made.textContent = text;
  if (title) made.title = title;
  return made;
};
const line = (...cells) => {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
};
const chooser = document.getElementById("confusion-row");
const drawConfusion = () => {
  const { counts, names } = data.confusions[chooser.value];
  const head = document.createElement("thead"), body = document.createElement("tbody");
  head.append(line(cell("th", ""), ...names.map((name) => cell("th", name))));
  counts.forEach((pixels, label) => {
    const total = pixels.reduce((sum, count) => sum + count, 0);
    const cells = pixels.map((count, predicted) => {
      const share = total ? (100 * count) / total : 0;
      const title = `label ${names[label]}, predicted ${names[predicted]}: ${count} pixels, ${share.toFixed(2)} %`;
      const made = cell("td", share >= 0.5 ? share.toFixed(0) : "", title);
      made.style.setProperty("--share", `${(100 * Math.sqrt(share / 100)).toFixed(1)}%`);
      made.style.setProperty("--hue", label === predicted ? "#2e9e6b" : "#d2544e");
      return made;
    });
    body.append(line(cell("th", names[label]), ...cells));
  });
  document.getElementById("confusion").replaceChildren(head, body);
};
if (chooser) {
  chooser.addEventListener("change", drawConfusion);
  drawConfusion();
}

const viewer = document.getElementById("view-row");
const showViews = () => {
  for (const place of all("[data-picture]")) {
    const view = data.views[place.dataset.picture][viewer.value];
    place.querySelector(".prediction").src = view.prediction;
    place.querySelector(".difference").src = view.difference;
    place.querySelector(".changed").textContent = view.text;
    place.querySelector(".chosen").textContent = viewer.selectedOptions[0].textContent;
  }
};
if (viewer) {
  viewer.addEventListener("change", showViews);
  showViews();
  for (const slider of all(".slider input")) {
    slider.addEventListener("input", () => slider.closest(".slider").style.setProperty("--at", `${slider.value}%`));
  }
}
