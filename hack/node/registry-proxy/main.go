// A reverse proxy in front of a registry that asks for a user and a password for the repositories
// under one prefix and lets everybody use the others, so that tests can pull with and without
// credentials from one address.
package main

import (
	"crypto/subtle"
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

func main() {
	listen := flag.String("listen", ":5000", "address to serve on")
	backend := flag.String("backend", "http://127.0.0.1:5001", "the registry behind the proxy")
	prefix := flag.String("private", "private/", "repositories that need the password start with this")
	user := flag.String("user", "puller", "user name")
	password := flag.String("password", "", "password")
	flag.Parse()
	target, err := url.Parse(*backend)
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		// The registry builds its Location headers from the name that the client used.
		r.Out.Host = r.In.Host
		// It knows nothing of the credentials, and answers 400 to some schemes.
		r.Out.Header.Del("Authorization")
	}}
	equal := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, given := r.BasicAuth()
		ok := given && equal(u, *user) && equal(p, *password)
		// A client learns from /v2/ alone whether this registry takes credentials, so that one path
		// asks whoever sends none; any answer to it, also an anonymous client's empty one, will do.
		ping := r.URL.Path == "/v2/" && r.Header.Get("Authorization") == ""
		if ping || !ok && private(r.URL, "/v2/"+*prefix) {
			w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
			w.Header().Set("Www-Authenticate", `Basic realm="registry"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}` + "\n"))
			return
		}
		proxy.ServeHTTP(w, r)
	})
	log.Printf("serving %s on %s, password for %s", *backend, *listen, *prefix)
	log.Fatal(http.ListenAndServe(*listen, handler))
}

// private also looks at the repository that an upload wants to mount a blob from.
func private(u *url.URL, prefix string) bool {
	return strings.HasPrefix(u.Path, prefix) || strings.HasPrefix("/v2/"+u.Query().Get("from"), prefix)
}
