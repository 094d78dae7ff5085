/* Shows every operation of the document, to be tried with a token of one's own. */

const place = document.getElementById("tryout");

SwaggerUIBundle({
    url: place.dataset.schema,
    domNode: place,
    presets: [SwaggerUIBundle.presets.apis],
    deepLinking: true,
    docExpansion: "none",
    validatorUrl: null,
});
