// Before anything is drawn: the colours that the reader chose. A classic script, so that it runs at
// once; everything else about them is view/theme.js.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage: the system's colours.
  }
})();
