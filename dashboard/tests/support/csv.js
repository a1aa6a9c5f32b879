// Reads CSV by RFC 4180, strictly, as a spreadsheet would. Performs no IO.

/**
 * @param {string} source
 * @returns {string[][]}
 * @throws {Error} where it is not CSV
 */
export function parseCsv(source) {
  /** @type {string[][]} */
  const rows = [];
  let row = [];
  let at = 0;
  while (at < source.length) {
    let cell = "";
    if (source[at] === '"') {
      for (;;) {
        const end = source.indexOf('"', at + 1);
        if (end < 0) throw new Error("a quotation mark is not closed");
        cell += source.slice(at + 1, end);
        at = end + 1;
        if (source[at] !== '"') break;
        cell += '"';
      }
    } else {
      const found = /[^",\r\n]*/y;
      found.lastIndex = at;
      cell = found.exec(source)?.[0] ?? "";
      at += cell.length;
    }
    row.push(cell);
    if (source[at] === ",") {
      at += 1;
      if (at === source.length) row.push("");
    } else if (source.startsWith("\r\n", at)) {
      at += 2;
      rows.push(row);
      row = [];
    } else {
      throw new Error(
        `neither a comma nor the end of a line at ${at}: ${source.slice(at, at + 9)}`,
      );
    }
  }
  if (row.length > 0) throw new Error("the last line does not end");
  return rows;
}
