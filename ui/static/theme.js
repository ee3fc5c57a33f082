// Before the first paint: the language and the theme that this browser has chosen, so that nothing flashes.
(function () {
  var theme = localStorage.getItem('waybill.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  var locale = localStorage.getItem('waybill.locale');
  document.documentElement.lang = locale || (/^ja\b/.test(navigator.language) ? 'ja' : 'en');
})();
