// Light, dark or as the system says; a classic script, so that it runs before the page is painted.

(() => {
  const KEY = 'sealcast-theme';
  const THEMES = ['system', 'light', 'dark'];
  const root = document.documentElement;

  show(stored());
  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    name(button);
    button.addEventListener('click', () => {
      const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
      show(next);
      name(button);
      try {
        localStorage.setItem(KEY, next);
      } catch {
        // Without storage the choice lasts as long as the page.
      }
      document.dispatchEvent(new Event('themechange'));
    });
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => document.dispatchEvent(new Event('themechange')));

  function stored() {
    try {
      const theme = localStorage.getItem(KEY);
      return THEMES.includes(theme) ? theme : 'system';
    } catch {
      return 'system';
    }
  }

  function show(theme) {
    root.dataset.theme = theme;
  }

  function name(button) {
    const text = `Colours: ${root.dataset.theme}`;
    button.setAttribute('aria-label', text);
    button.title = text;
  }
})();
