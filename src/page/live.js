'use strict';
(() => {
  const bar = document.getElementById('live'), stream = new EventSource('/events');
  let renewed = Date.now();
  const renew = async () => {
    const text = await (await fetch('/')).text(), y = scrollY;
    const main = new DOMParser().parseFromString(text, 'text/html').getElementById('main');
    if (main) document.getElementById('main').replaceWith(main);
    scrollTo(0, y);
  };
  stream.onmessage = event => {
    const told = JSON.parse(event.data);
    bar.textContent = told.words;
    if (told.over) {
      stream.close();
      renew().catch(() => {});
    } else if (Date.now() - renewed > 2000 && !document.hidden) {
      renewed = Date.now();
      renew().catch(() => {});
    }
  };
  stream.onerror = () => { bar.textContent = 'the run is not heard of any more'; };
})();
