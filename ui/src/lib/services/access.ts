import type {
  ChangeWebhookData,
  CreateSessionData,
  CreateTokenData,
  CreateWebhookData,
  DeleteWebhookData,
  EndSessionData,
  Limits,
  ListTokensData,
  ListWebhooksData,
  NewToken,
  NewWebhook,
  RevokeTokenData,
  Session,
  ShowLimitsData,
  ShowSessionData,
  TokenList,
  Webhook,
  WebhookList,
} from '../client/index.ts';
import { call, type CallOptions } from './http.ts';

export const signIn = (secret: string, options?: CallOptions) =>
  call<CreateSessionData, Session>('POST', '/api/session', { body: { secret } }, options);
export const whoAmI = (options?: CallOptions) =>
  call<ShowSessionData, Session>('GET', '/api/session', {}, options);
export const signOut = (options?: CallOptions) =>
  call<EndSessionData, void>('DELETE', '/api/session', {}, options);

export const showLimits = (options?: CallOptions) =>
  call<ShowLimitsData, Limits>('GET', '/api/limits', {}, options);

export const listTokens = async (options?: CallOptions) =>
  (await call<ListTokensData, TokenList>('GET', '/api/tokens', {}, options)).items;
export const createToken = (body: CreateTokenData['body'], options?: CallOptions) =>
  call<CreateTokenData, NewToken>('POST', '/api/tokens', { body }, options);
export const revokeToken = (id: string, options?: CallOptions) =>
  call<RevokeTokenData, void>('DELETE', '/api/tokens/{id}', { path: { id } }, options);

export const listWebhooks = async (options?: CallOptions) =>
  (await call<ListWebhooksData, WebhookList>('GET', '/api/webhooks', {}, options)).items;
export const createWebhook = (body: CreateWebhookData['body'], options?: CallOptions) =>
  call<CreateWebhookData, NewWebhook>('POST', '/api/webhooks', { body }, options);
export const changeWebhook = (id: string, body: ChangeWebhookData['body'], options?: CallOptions) =>
  call<ChangeWebhookData, Webhook>('PATCH', '/api/webhooks/{id}', { path: { id }, body }, options);
export const deleteWebhook = (id: string, options?: CallOptions) =>
  call<DeleteWebhookData, void>('DELETE', '/api/webhooks/{id}', { path: { id } }, options);
