/** The time, told anew each second while somebody looks. */
class Now {
  value = $state(Date.now());
  constructor() {
    setInterval(() => {
      if (document.visibilityState === 'visible') this.value = Date.now();
    }, 1000);
    document.addEventListener('visibilitychange', () => (this.value = Date.now()));
  }
}

export const now = new Now();
