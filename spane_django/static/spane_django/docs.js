// Shows the OpenAPI document with Swagger UI; calls of a session carry their CSRF token.
"use strict";

const docs = document.getElementById("docs");

SwaggerUIBundle({
  url: docs.dataset.schema,
  domNode: docs,
  deepLinking: true,
  docExpansion: "none",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  // Its validator is a site of somebody else.
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.headers[docs.dataset.csrfHeader] = docs.dataset.csrfToken;
    return request;
  },
});
