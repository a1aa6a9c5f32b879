// Where each country stands on a map that gives every one the same room. Performs no IO.
//
// On a map of areas the exits are where nothing can be seen: Luxembourg, Singapore and Hong Kong are a
// pixel, and half of the picture is sea. So each country is a tile. Its place was computed from the
// centres of the countries in Natural Earth, which is in the public domain: their longitude and latitude
// between rank and degrees, then the cells with the least sum of squared distances.

/** The rows from north to south; a dot where there is no country. Territories without people are left out. */
const ROWS = Object.freeze([
  ".. .. .. .. .. .. .. .. gl .. fo dk no se lv fi .. .. ru .. .. .. .. .. .. ..",
  ".. .. .. ca .. .. .. .. is im gb nl de pl lt ee .. .. .. .. .. .. .. .. .. ..",
  ".. .. .. .. .. .. .. .. .. ie be lu at cz sk by ua .. .. .. .. .. .. .. .. ..",
  ".. .. .. .. .. .. .. .. .. gg je li si hr hu ro md ge .. kz .. mn .. .. .. ..",
  ".. .. .. .. .. .. .. .. .. es fr ch sm ba rs bg tr am az uz kg .. .. .. .. ..",
  ".. .. .. us .. .. .. .. .. pt ad mc it me xk mk lb sy tm tj .. cn kp jp .. ..",
  ".. .. .. .. .. bs bm .. .. .. .. tn va al gr cy ps iq ir af np .. kr .. .. ..",
  ".. .. .. mx cu tc vg .. .. eh ma dz mt ly .. il jo kw bh pk bt .. tw .. .. ..",
  ".. .. .. ky ht do ai sx .. mr .. .. .. .. .. eg sa qa ae in bd mo hk .. .. ..",
  ".. .. .. bz jm pr kn ms ag sn ml .. ne .. .. sd .. .. om .. mm la ph .. .. ..",
  ".. .. .. gt hn vi dm lc cv gm bf .. .. td .. .. er ye .. .. th vn .. gu mp ..",
  ".. .. .. sv ni aw gd vc bb gw gn bj ng .. .. .. et dj .. .. .. kh .. .. .. ..",
  ".. .. .. cr pa cw ve tt .. sl gh tg cm .. cf ss .. so .. .. lk .. bn pw fm mh",
  ".. ki .. .. .. co gy sr .. lr ci st gq cg .. rw ug ke .. mv id sg my .. nr ..",
  ".. .. .. .. ec pe .. .. .. .. .. .. ga .. cd bi tz .. sc .. .. .. tl pg sb ..",
  "ws as .. .. .. .. bo br .. .. .. .. .. ao .. zm mw km .. .. .. .. .. .. vu ..",
  "to ck pf .. .. .. .. py .. .. .. .. .. na bw zw mz mg mu .. .. .. .. .. nc fj",
  ".. .. .. .. .. cl ar uy .. .. .. .. .. .. za ls sz .. .. .. .. .. .. au .. ..",
  ".. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. nz",
]);

/**
 * @typedef {object} Tile
 * @property {string} country two lower-case letters
 * @property {number} column from the west
 * @property {number} row from the north
 */

/** @type {readonly Tile[]} */
export const TILES = Object.freeze(
  ROWS.flatMap((text, row) =>
    text
      .split(" ")
      .map((country, column) => ({ country, column, row }))
      .filter(({ country }) => country !== ".."),
  ),
);

export const COLUMNS = ROWS[0].split(" ").length;
export const HEIGHT = ROWS.length;
