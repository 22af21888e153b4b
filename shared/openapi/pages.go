package openapi

// base makes relative addresses in a page mean the folder of /docs, whether
// the page was asked for as /docs or as /docs/, and behind any prefix.
const base = `<script>
    const page = location.pathname.replace(/\/+$/, "");
    document.write('<base href="' + page.slice(0, page.lastIndexOf("/") + 1) + '">');
  </script>`

const swaggerPage = `<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Build State API - Swagger UI</title>
  ` + base + `
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="docs/swagger-ui-bundle.js"></script>
  <script>
    window.ui = SwaggerUIBundle({
      url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true,
      presets: [SwaggerUIBundle.presets.apis], persistAuthorization: true, tryItOutEnabled: true,
    });
  </script>
</body>
</html>
`

const redocPage = `<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Build State API - ReDoc</title>
  ` + base + `
  <link rel="icon" href="data:,">
  <style>body { margin: 0; padding: 0; }</style>
</head>
<body>
  <div id="redoc"></div>
  <script src="redoc/redoc.js"></script>
  <script>Redoc.init("openapi.json", {}, document.getElementById("redoc"));</script>
</body>
</html>
`
