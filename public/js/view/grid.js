// A table of many thousand rows, of which only those in sight are in the page: rows of one height,
// used again and again while scrolling. By keyboard, the table has the focus and names the active
// row, so that a row that leaves the page takes no focus with it.

import { fill, freshId, h } from "./dom.js";
import { whole } from "./format.js";

/**
 * @template T
 * @typedef {object} Cell
 * @property {Node} element
 * @property {(item: T) => void} set
 */

/**
 * @template T
 * @typedef {object} GridColumn
 * @property {string} key the cells' class is `c-` and it
 * @property {string} label
 * @property {string} [title] the label in full
 * @property {string} width a track of CSS grid
 * @property {number} least how many rem it needs: its width where the table is scrolled sideways
 * @property {(room: number) => boolean} fits whether it is shown where nobody has chosen, with so
 *   many rem of room
 * @property {boolean} paper whether it is printed where nobody has chosen
 * @property {string | null} sort what to sort by; null where it cannot be
 * @property {boolean} [down] whether the first click sorts downwards
 * @property {() => Cell<T>} make
 */

/**
 * @template T
 * @typedef {object} GridOptions
 * @property {string} label
 * @property {readonly GridColumn<T>[]} columns
 * @property {(item: T) => void} open what Enter does
 * @property {(sort: string) => void} sort
 * @property {(a: T, b: T) => boolean} same whether two items are one at different times
 * @property {string} empty shown where there are no rows
 * @property {(key: string) => boolean} extra whether this column is wanted now, whatever was chosen
 * @property {AbortSignal} signal
 */

/**
 * @template T
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {Cell<T>[]} cells
 * @property {number} index the item it shows; -1 for none
 */

/** With less room, in rem, a row is a card of two lines, unless somebody chose the columns. */
export const TABLE_REM = 44;

/** Rows kept ready beyond either end. */
const SPARE = 6;

/** Between two columns, and at either end: grid.css. */
const GAP_REM = 0.75;

/** How many rows are printed: some forty pages. */
const PRINTED = 2000;

/** @template T */
export class Grid {
  /** @type {readonly T[]} */
  #items = [];
  /** @type {Row<T>[]} */
  #pool = [];
  #active = -1;
  #rowHeight = 36;
  #frame = 0;
  #version = 0;
  /** The columns that somebody chose; null for those that fit. @type {ReadonlySet<string> | null} */
  #chosen = null;
  /** Whether each column is shown. @type {boolean[]} */
  #visible = [];
  #paper = false;
  /** @type {number[]} the version of the items that each row of the pool shows */
  #shown = [];

  /** @param {GridOptions<T>} options */
  constructor(options) {
    this.options = options;
    this.id = freshId("grid");
    this.heads = options.columns.map((column) => this.#head(column));
    this.headRow = h(
      "div",
      { class: "grid-row grid-headrow", role: "row", "aria-rowindex": 1 },
      this.heads,
    );
    this.head = h("div", { class: "grid-head", role: "rowgroup" }, this.headRow);
    this.body = h("div", { class: "grid-body", role: "rowgroup" });
    this.printed = h("div", { class: "grid-printed", role: "rowgroup" });
    this.empty = h("p", { class: "grid-empty", hidden: true }, options.empty);
    this.element = h(
      "div",
      {
        class: "grid",
        role: "grid",
        tabindex: "0",
        "aria-label": options.label,
        "aria-colcount": options.columns.length,
        "aria-rowcount": 1,
      },
      this.head,
      this.body,
      this.printed,
    );
    this.box = h("div", { class: "grid-box" }, this.element, this.empty);
    this.element.addEventListener("scroll", () => this.#soon(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("click", (event) => this.#click(event));
    const sizes = new ResizeObserver(() => this.#measure());
    sizes.observe(this.element);
    const print = matchMedia("print");
    const onPrint = () => this.#print(print.matches);
    const before = () => this.#print(true);
    const after = () => this.#print(false);
    print.addEventListener("change", onPrint);
    window.addEventListener("beforeprint", before);
    window.addEventListener("afterprint", after);
    options.signal.addEventListener(
      "abort",
      () => {
        sizes.disconnect();
        print.removeEventListener("change", onPrint);
        window.removeEventListener("beforeprint", before);
        window.removeEventListener("afterprint", after);
        cancelAnimationFrame(this.#frame);
      },
      { once: true },
    );
  }

  /**
   * Shows other items.
   * @param {readonly T[]} items
   * @param {string} sort what they are sorted by
   * @param {boolean} stay whether they are the same items at another time: then the row that is
   *   active, or else the first in sight, stays where it is
   */
  setItems(items, sort, stay) {
    const at =
      this.#active >= 0 ? this.#active : Math.ceil(this.element.scrollTop / this.#rowHeight);
    const kept = stay && this.element.scrollTop > 0 ? this.#items[at] : undefined;
    const offset = at * this.#rowHeight - this.element.scrollTop;
    const active = stay ? this.#items[this.#active] : undefined;
    const find = (/** @type {T | undefined} */ item) =>
      item === undefined ? -1 : items.findIndex((other) => this.options.same(item, other));
    this.#items = items;
    this.#version += 1;
    this.#active = find(active);
    this.element.setAttribute("aria-rowcount", String(items.length + 1));
    this.element.removeAttribute("aria-activedescendant");
    this.empty.hidden = items.length > 0;
    this.#showSort(sort);
    this.#size();
    const place = find(kept);
    if (place >= 0) this.element.scrollTop = place * this.#rowHeight - offset;
    else if (!stay) this.element.scrollTop = 0;
    this.#draw();
  }

  /**
   * @param {ReadonlySet<string> | null} keys null for those that there is room for
   */
  choose(keys) {
    this.#chosen = keys;
    this.refit();
    this.#draw();
  }

  /** @returns {string[]} the columns that are shown */
  shown() {
    return this.options.columns.filter((_, i) => this.#visible[i]).map(({ key }) => key);
  }

  /** Looks again which columns there are to be. */
  refit() {
    this.#layout();
    this.#version += 1;
  }

  /** Which columns are shown, and how wide. */
  #layout() {
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    const room = this.element.clientWidth / rem;
    const chosen = this.#chosen;
    const narrow = chosen === null && room < TABLE_REM && !this.#paper;
    this.#visible = this.options.columns.map(({ key, fits, paper }) => {
      if (this.options.extra(key)) return !this.#paper;
      if (chosen !== null) return chosen.has(key);
      return this.#paper ? paper : fits(room);
    });
    const shown = this.options.columns.filter((_, i) => this.#visible[i]);
    this.element.classList.toggle("narrow", narrow);
    this.element.style.setProperty(
      "--tracks",
      shown.map(({ width, least }) => (this.#paper ? `minmax(0, ${least}fr)` : width)).join(" "),
    );
    const least = shown.reduce((sum, column) => sum + column.least + GAP_REM, GAP_REM);
    this.element.style.setProperty("--least", narrow || this.#paper ? "0" : `${least}rem`);
    this.element.setAttribute("aria-colcount", String(shown.length));
    for (const cells of [this.headRow, ...this.#pool.map((row) => row.element)]) this.#hide(cells);
  }

  /** @param {HTMLElement} row */
  #hide(row) {
    this.#visible.forEach((visible, i) => {
      const cell = row.children[i];
      if (cell instanceof HTMLElement) cell.hidden = !visible;
    });
  }

  /** @returns {{top: number, active: number}} */
  place() {
    return { top: this.element.scrollTop, active: this.#active };
  }

  /**
   * Goes back to where somebody was.
   * @param {{top: number, active: number}} place
   */
  restore({ top, active }) {
    this.#active = Math.min(active, this.#items.length - 1);
    this.element.scrollTop = top;
    this.#draw();
  }

  /**
   * @param {GridColumn<T>} column
   * @returns {HTMLElement}
   */
  #head(column) {
    const { sort } = column;
    const inner =
      sort === null
        ? column.label
        : h(
            "button",
            {
              type: "button",
              class: "grid-sort",
              title: column.title ?? null,
              on: {
                click: (event) => {
                  event.stopPropagation();
                  const first = column.down ? `-${sort}` : sort;
                  const other = column.down ? sort : `-${sort}`;
                  this.options.sort(this.sorted === first ? other : first);
                },
              },
            },
            column.label,
          );
    return h(
      "div",
      {
        class: `cell c-${column.key}`,
        role: "columnheader",
        title: sort === null ? (column.title ?? null) : null,
      },
      inner,
    );
  }

  /** @param {string} sort */
  #showSort(sort) {
    this.sorted = sort;
    const down = sort.startsWith("-");
    const key = down ? sort.slice(1) : sort;
    this.options.columns.forEach((column, i) => {
      if (column.sort === key) {
        this.heads[i].setAttribute("aria-sort", down ? "descending" : "ascending");
      } else this.heads[i].removeAttribute("aria-sort");
    });
  }

  /** The height of a row is the style sheet's to say. */
  #measure() {
    this.#layout();
    const height = this.head.getBoundingClientRect().height;
    const row = Number.parseFloat(getComputedStyle(this.body).getPropertyValue("line-height"));
    if (Number.isFinite(row) && row > 0) this.#rowHeight = row;
    this.headHeight = height;
    this.#size();
    this.#version += 1;
    this.#draw();
  }

  #size() {
    this.body.style.height = `${this.#items.length * this.#rowHeight}px`;
  }

  #soon() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** @returns {Row<T>} */
  #makeRow() {
    const cells = this.options.columns.map((column) => column.make());
    const element = h(
      "div",
      { class: "grid-row", role: "row" },
      cells.map((cell, i) =>
        h(
          "div",
          { class: `cell c-${this.options.columns[i].key}`, role: "gridcell" },
          cell.element,
        ),
      ),
    );
    this.#hide(element);
    return { element, cells, index: -1 };
  }

  /** Puts the rows that are in sight in their places. */
  #draw() {
    const view = this.element.clientHeight;
    const height = this.#rowHeight;
    const count = this.#items.length;
    const wanted = Math.min(Math.ceil(view / height) + 2 * SPARE, Math.max(count, 0));
    while (this.#pool.length < wanted) {
      const row = this.#makeRow();
      row.element.id = `${this.id}-${this.#pool.length}`;
      this.#pool.push(row);
      this.#shown.push(-1);
      this.body.append(row.element);
    }
    const size = this.#pool.length;
    if (size === 0) return;
    const first = Math.max(
      0,
      Math.min(Math.floor(this.element.scrollTop / height) - SPARE, count - size),
    );
    for (let i = first; i < first + size; i += 1) this.#place(i);
    this.#showActive();
  }

  /** @param {number} i the item */
  #place(i) {
    const slot = i % this.#pool.length;
    const row = this.#pool[slot];
    if (i >= this.#items.length) {
      row.element.hidden = true;
      row.index = -1;
      return;
    }
    if (row.index === i && this.#shown[slot] === this.#version) return;
    row.index = i;
    this.#shown[slot] = this.#version;
    row.element.hidden = false;
    row.element.style.transform = `translateY(${i * this.#rowHeight}px)`;
    row.element.classList.toggle("odd", i % 2 === 1);
    row.element.setAttribute("aria-rowindex", String(i + 2));
    const item = this.#items[i];
    this.#set(row, item);
  }

  /**
   * @param {Row<T>} row
   * @param {T} item
   */
  #set(row, item) {
    row.cells.forEach((cell, k) => {
      if (this.#visible[k]) cell.set(item);
    });
  }

  #showActive() {
    let found = "";
    for (const row of this.#pool) {
      const active = row.index === this.#active && row.index >= 0;
      row.element.classList.toggle("active", active);
      if (active) {
        row.element.setAttribute("aria-selected", "true");
        found = row.element.id;
      } else row.element.removeAttribute("aria-selected");
    }
    if (found === "") this.element.removeAttribute("aria-activedescendant");
    else this.element.setAttribute("aria-activedescendant", found);
  }

  /** @param {number} i */
  #activate(i) {
    this.#active = Math.max(0, Math.min(i, this.#items.length - 1));
    const top = this.#active * this.#rowHeight;
    const room = this.element.clientHeight - (this.headHeight ?? 0);
    const bottom = top + this.#rowHeight - room;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (bottom > this.element.scrollTop) this.element.scrollTop = bottom;
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    if (this.#items.length === 0) return;
    const page = Math.max(
      1,
      Math.floor((this.element.clientHeight - (this.headHeight ?? 0)) / this.#rowHeight) - 1,
    );
    const from = this.#active;
    const first = Math.ceil(this.element.scrollTop / this.#rowHeight);
    const start = from < 0 ? first - 1 : from;
    switch (event.key) {
      case "ArrowDown":
        this.#activate(start + 1);
        break;
      case "ArrowUp":
        this.#activate(from < 0 ? first : from - 1);
        break;
      case "PageDown":
        this.#activate(start + page);
        break;
      case "PageUp":
        this.#activate(start - page);
        break;
      case "Home":
        this.#activate(0);
        break;
      case "End":
        this.#activate(this.#items.length - 1);
        break;
      case "Enter":
        if (from >= 0) this.options.open(this.#items[from]);
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = event.target;
    if (!(target instanceof Element)) return;
    const found = this.#pool.find((row) => row.element.contains(target));
    if (found === undefined || found.index < 0) return;
    this.#active = found.index;
    this.#showActive();
  }

  /**
   * For the printer there is no scrolling: the first rows are laid out one below the other.
   * @param {boolean} printing
   */
  #print(printing) {
    this.#paper = printing;
    this.refit();
    this.#draw();
    if (!printing) {
      fill(this.printed);
      return;
    }
    const rows = this.#items.slice(0, PRINTED).map((item) => {
      const row = this.#makeRow();
      this.#set(row, item);
      return row.element;
    });
    const heads = this.options.columns.map((column) =>
      h("div", { class: `cell c-${column.key}`, role: "columnheader" }, column.label),
    );
    const head = h("div", { class: "grid-row grid-headrow", role: "row" }, heads);
    this.#hide(head);
    const left = this.#items.length - rows.length;
    fill(this.printed, head, rows);
    if (left > 0) {
      const words = `The first ${whole(rows.length)} of ${whole(this.#items.length)} are printed. Filter or sort the table for others, or save it as CSV.`;
      this.printed.append(
        h(
          "div",
          { class: "grid-row", role: "row" },
          h("div", { class: "grid-rest", role: "gridcell" }, words),
        ),
      );
    }
  }
}
