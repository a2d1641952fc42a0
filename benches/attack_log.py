#!/usr/bin/env python3
"""Deterministic generator of realistic Okta System Log events (NDJSON).

usage: attack_log.py --events 1000000 --out okta-1m.ndjson [--seed 7]
         [--actors 5000] [--attack-rate 0.002] [--ms-per-event 250]
         [--start 2026-03-02T00:00:00Z] [--truth truth.json]

Same arguments => byte-identical output. Events are in time order. The key
order, nesting and sizes (about 1.5-2.6 KB an event) follow the real System Log:
actor, client, device, authenticationContext, displayMessage, eventType,
outcome, published, securityContext, severity, debugContext, legacyEventType,
transaction, uuid, version, request, target.

--attack-rate is the share of events that START an attack episode. Episodes:
  brute     12-40 failed logins of one actor from one IP inside 8 min, half of
            them followed by a success
  spray     one IP, 30-120 actors, one failed login each, inside 20 min
  fatigue   8-20 MFA push challenges denied inside 9 min, then one accepted (40%)
  travel    success at home, then 10-40 min later success from another continent
  takeover  proxy login, admin app, MFA reset, api token, privilege grant
"""
import argparse, calendar, hashlib, heapq, json, random, time

CITIES = [  # city, state, country, postal, lat, lon, asn, org, isp, domain, weight
    ("San Francisco", "California", "United States", "94107", 37.7697, -122.3933, 7922, "comcast", "comcast cable communications llc", "comcast.net", 18),
    ("New York", "New York", "United States", "10001", 40.7503, -73.9967, 701, "verizon", "verizon business", "verizon.net", 16),
    ("Austin", "Texas", "United States", "78701", 30.2711, -97.7437, 7018, "at&t", "at&t corp.", "att.net", 9),
    ("Seattle", "Washington", "United States", "98101", 47.6114, -122.3305, 16509, "amazon.com", "amazon.com inc.", "amazonaws.com", 7),
    ("London", "England", "United Kingdom", "EC1A", 51.5164, -0.0930, 2856, "bt", "british telecommunications plc", "btcentralplus.com", 12),
    ("Berlin", "Land Berlin", "Germany", "10115", 52.5323, 13.3846, 3320, "deutsche telekom ag", "deutsche telekom ag", "t-ipconnect.de", 8),
    ("Zürich", "Zurich", "Switzerland", "8001", 47.3720, 8.5420, 3303, "swisscom", "bluewin is an lir and isp in switzerland.", "bluewin.ch", 4),
    ("Paris", "Île-de-France", "France", "75001", 48.8592, 2.3417, 3215, "orange s.a.", "orange s.a.", "wanadoo.fr", 6),
    ("Bengaluru", "Karnataka", "India", "560001", 12.9634, 77.5855, 55836, "reliance jio infocomm limited", "reliance jio infocomm limited", "jio.com", 9),
    ("Tokyo", "Tokyo", "Japan", "100-0001", 35.6895, 139.6917, 2516, "kddi corporation", "kddi corporation", "dion.ne.jp", 5),
    ("Sydney", "New South Wales", "Australia", "2000", -33.8688, 151.2093, 1221, "telstra", "telstra corporation ltd", "telstra.net", 4),
    ("Singapore", None, "Singapore", "048581", 1.2929, 103.8547, 3758, "singnet", "singtel fibre broadband", "singnet.com.sg", 3),
    ("Lagos", "Lagos", "Nigeria", None, 6.4474, 3.3903, 37076, "emts nigeria", "emerging markets telecommunication services limited", ".", 0),
    ("Moscow", "Moscow", "Russia", "101000", 55.7483, 37.6171, 12389, "rostelecom", "pjsc rostelecom", "rt.ru", 0),
    ("São Paulo", "São Paulo", "Brazil", "01000-000", -23.5335, -46.6359, 26599, "telefonica brasil s.a", "telefonica brasil s.a", "vivozap.com.br", 2),
]
UAS = [
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36", "Mac OS 10.15.7 (Catalina)", "CHROME", "Computer"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36 Edg/134.0.0.0", "Windows 10", "EDGE", "Computer"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:136.0) Gecko/20100101 Firefox/136.0", "Windows 10", "FIREFOX", "Computer"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_3_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1", "iOS 18.3 (iPhone)", "SAFARI", "Mobile"),
    ("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Mobile Safari/537.36", "Android 15", "CHROME", "Mobile"),
    ("okta-sdk-python/2.9.8 python/3.11.8 Linux/6.1.0-18-amd64", "Linux", "UNKNOWN", "Unknown"),
]
APPS = ["Slack", "Google Workspace", "Salesforce.com", "Workday", "GitHub Enterprise Cloud", "AWS IAM Identity Center", "Zoom",
        "Atlassian Cloud", "Microsoft Office 365", "ServiceNow UD", "Box", "DocuSign", "Snowflake", "Datadog", "PagerDuty", "Figma",
        "1Password Business", "Okta Admin Console", "Okta Dashboard", "NetSuite", "Zendesk", "Looker", "Tableau Cloud", "Concur"]
FIRST = ["Alice", "Bob", "Carol", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Inés", "Jürgen", "Kavya", "Liam", "Mónica", "Noah", "Olu", "Priya",
         "Quinn", "Rosa", "Søren", "Tara", "Uma", "Viktor", "Wei", "Xenia", "Yusuf", "Zoë"]
LAST = ["Anderson", "Brown", "Chen", "Dubois", "Evans", "Fernández", "Gupta", "Haddad", "Ivanov", "Johnson", "Kim", "Lopez", "Müller", "Nguyen",
        "O'Brien", "Patel", "Quintero", "Rossi", "Smith", "Tanaka", "Ueda", "Vargas", "Williams", "Xu", "Yamamoto", "Zimmermann"]
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# kind: eventType, legacyEventType, displayMessage, severity, uri, target kind, weight
KINDS = [
    ("user.authentication.sso", "app.auth.sso", "User single sign on to app", "INFO", "/app/{app}/exk{id}/sso/saml", "app", 3300),
    ("policy.evaluate_sign_on", None, "Evaluation of sign-on policy", "INFO", "/api/v1/authn", "policy", 2200),
    ("user.session.start", "core.user_auth.login_success", "User login to Okta", "INFO", "/idp/idx/identify", "none", 1200),
    ("user.authentication.auth_via_mfa", "core.user.factor.attempt_success", "Authentication of user via MFA", "INFO", "/idp/idx/challenge/answer", "factor", 1200),
    ("app.oauth2.token.grant.access_token", None, "OAuth2 access token is granted", "INFO", "/oauth2/v1/token", "app", 700),
    ("system.push.send_factor_verify_push", "core.user.factor.push_sent", "Send push to verify factor", "INFO", "/idp/idx/challenge", "factor", 450),
    ("user.authentication.verify", None, "Verify user identity", "INFO", "/api/v1/authn/factors/verify", "factor", 300),
    ("user.session.end", "core.user_auth.logout_success", "User logout from Okta", "INFO", "/login/signout", "none", 180),
    ("LOGINFAIL", "core.user_auth.login_failed", "User login to Okta", "WARN", "/idp/idx/identify", "none", 150),
    ("app.user_membership.add", "app.user_management.add", "Add user to application membership", "INFO", "/api/v1/apps/{id}/users", "appuser", 110),
    ("group.user_membership.add", "core.user_group_member.user_add", "Add user to group membership", "INFO", "/api/v1/groups/{id}/users", "group", 90),
    ("user.session.access_admin_app", "app.admin.sso.login.success", "User accessing Okta admin app", "INFO", "/admin/sso/request", "app", 30),
    ("user.account.update_profile", "core.user.config.user_update", "Update user profile for Okta", "INFO", "/api/v1/users/{id}", "user", 60),
    ("user.account.lock", "core.user_auth.account_locked", "Max sign in attempts exceeded", "DEBUG", "/idp/idx/identify", "user", 6),
    ("user.lifecycle.create", "core.user.config.user_creation.success", "Create Okta user", "INFO", "/api/v1/users", "user", 12),
    ("user.mfa.factor.deactivate", "core.user.factor.deactivate", "Reset factor for user", "INFO", "/api/v1/users/{id}/factors", "user", 8),
    ("user.mfa.factor.reset_all", "core.user.factor.reset_all", "Reset all factors for user", "INFO", "/api/v1/users/{id}/lifecycle/reset_factors", "user", 3),
    ("application.lifecycle.update", "app.generic.config.app_updated", "Update application", "INFO", "/admin/app/{id}/settings", "app", 9),
    ("application.lifecycle.delete", "app.generic.config.app_deleted", "Delete application", "INFO", "/admin/app/{id}", "app", 1),
    ("application.policy.sign_on.update", None, "Update application sign on policy", "INFO", "/admin/policy/{id}", "policy", 2),
    ("policy.lifecycle.update", "policy.lifecycle.update", "Update policy", "INFO", "/admin/policies/{id}", "policy", 3),
    ("policy.rule.update", "policy.rule.update", "Update policy rule", "INFO", "/admin/policies/{id}/rules", "policy", 3),
    ("zone.deactivate", "network_zone.rule.disabled", "Deactivate network zone", "INFO", "/admin/access/networks/{id}", "policy", 1),
    ("group.privilege.grant", "core.user.admin_privilege.granted", "Grant group privilege", "INFO", "/api/v1/groups/{id}/roles", "group", 2),
    ("user.account.privilege.grant", "core.user.admin_privilege.granted", "Grant user privilege", "WARN", "/api/v1/users/{id}/roles", "user", 2),
    ("iam.resourceset.bindings.add", None, "Add role assignment to resource set", "INFO", "/api/v1/iam/resource-sets/{id}/bindings", "group", 1),
    ("system.api_token.create", "api.token.create", "Create API token", "INFO", "/api/internal/tokens", "user", 2),
    ("system.api_token.revoke", "api.token.revoke", "Revoke API token", "INFO", "/api/internal/tokens/{id}/revoke", "user", 1),
    ("system.idp.lifecycle.create", None, "Create Identity Provider", "INFO", "/api/v1/idps", "policy", 1),
    ("security.threat.detected", "security.threat.detected", "Request from suspicious actor", "WARN", "/api/v1/authn", "none", 5),
    ("user.account.report_suspicious_activity_by_enduser", "core.user.account.report_suspicious_activity_by_enduser", "User report suspicious activity", "WARN", "/user/notifications/suspicious", "none", 1),
    ("app.generic.unauth_app_access_attempt", "app.generic.unauth_app_access_attempt", "User attempted unauthorized access to app", "WARN", "/home/{app}/{id}/alnf", "app", 4),
    ("FASTPASS", "core.user.factor.attempt_fail", "Authentication of user via MFA", "WARN", "/idp/idx/authenticators/okta-verify/verify", "factor", 1),
]
BEHAVIORS = ["New Geo-Location", "New Device", "New IP", "New State", "New Country", "Velocity", "New City"]
J = lambda s: json.dumps(s, ensure_ascii=False)


class Gen:
    def __init__(self, a):
        self.a = a
        self.r = random.Random(a.seed)
        self.idn = 0
        r = self.r
        self.kw = []
        acc = 0
        for k in KINDS:
            acc += k[6]
            self.kw.append(acc)
        cw = [c[10] for c in CITIES]
        self.cityfrag = [self.city_json(c) for c in CITIES]
        self.apps = [(n, self.oid("0oa")) for n in APPS]
        self.actors = []
        for i in range(a.actors):
            f, l = r.choice(FIRST), r.choice(LAST)
            email = (f + "." + l).encode("ascii", "ignore").decode().replace("'", "").lower() + "%d@example.com" % i
            home = r.choices(range(len(CITIES)), cw)[0]
            ua = r.choices(range(len(UAS)), [36, 24, 12, 16, 10, 2])[0]
            ip = "%d.%d.%d.%d" % (r.choice([23, 24, 67, 71, 81, 86, 98, 104, 173]), r.randrange(256), r.randrange(256), r.randrange(1, 255))
            uid = self.oid("00u")
            self.actors.append(dict(id=uid, email=email, name=f + " " + l, home=home, ua=ua, ip=ip,
                                    j='{"id":"%s","type":"User","alternateId":"%s","displayName":%s,"detailEntry":null}' % (uid, email, J(f + " " + l)),
                                    dt=hashlib.sha256(uid.encode()).hexdigest(), fp=hashlib.md5(uid.encode()).hexdigest(),
                                    sess=self.oid("102", 25)))
        self.badips = ["%d.%d.%d.%d" % (r.choice([45, 91, 185, 194, 5]), r.randrange(256), r.randrange(256), r.randrange(1, 255)) for _ in range(200)]
        self.counts = {}
        self.episodes = []

    def oid(self, p, n=17):
        return p + "".join(self.r.choices(ALNUM, k=n))

    @staticmethod
    def city_json(c):
        return '"city":%s,"state":%s,"country":%s,"postalCode":%s,"geolocation":{"lat":%s,"lon":%s}' % (J(c[0]), J(c[1]), J(c[2]), J(c[3]), c[4], c[5])

    def event(self, ms, kind, actor, ip=None, city=None, ua=None, result=None, reason=None, proxy=None, alt=None, app=None, positive=None):
        r = self.r
        et, legacy, msg, sev, uri, tk, _ = kind
        if et == "LOGINFAIL":
            et, result, reason = "user.session.start", "FAILURE", reason or "INVALID_CREDENTIALS"
        elif et == "FASTPASS":
            et, result, reason = "user.authentication.auth_via_mfa", "FAILURE", "FastPass declined phishing attempt"
        if result is None:
            if et == "policy.evaluate_sign_on":
                result, reason = ("CHALLENGE", "Sign-on policy evaluation resulted in CHALLENGE") if r.random() < .5 else ("ALLOW", "Sign-on policy evaluation resulted in ALLOW")
            else:
                result = "SUCCESS"
        city = actor["home"] if city is None else city
        ip = ip or (actor["ip"] if r.random() < .9 else "%d.%d.%d.%d" % (r.choice([23, 24, 67, 71]), r.randrange(256), r.randrange(256), r.randrange(1, 255)))
        u = UAS[actor["ua"] if ua is None else ua]
        c = CITIES[city]
        proxy = (r.random() < .004) if proxy is None else proxy
        app = app or self.apps[r.randrange(len(self.apps))]
        t, frac = divmod(ms, 1000)
        pub = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t)) + ".%03dZ" % frac
        h = "%032x" % r.getrandbits(128)
        uuid = h[:8] + "-" + h[8:12] + "-11f0-" + h[16:20] + "-" + h[20:32]
        reqid = "%032x" % r.getrandbits(128)
        oid = "exk" + h[3:20]
        slug = app[0].lower().replace(" ", "_").replace(".", "_")
        uri = uri.replace("{app}", slug).replace("{id}", oid)
        level = "HIGH" if positive else ("LOW" if r.random() < .93 else "MEDIUM")
        pos = positive if positive is not None else r.random() < .03
        pb = r.randrange(len(BEHAVIORS)) if pos else -1
        beh = ", ".join("%s=%s" % (b, "POSITIVE" if i == pb else "NEGATIVE") for i, b in enumerate(BEHAVIORS))
        geo = self.cityfrag[city]
        dd = ('"requestId":"%s","dtHash":"%s","deviceFingerprint":"%s","requestUri":"%s","url":"%s?stateToken=%s&fromURI=%%2F","origin":"https://example.okta.com","threatSuspected":"%s"'
              % (reqid, actor["dt"], actor["fp"], uri, uri, h[:22], "true" if positive and r.random() < .5 else "false"))
        if et in ("user.session.start", "policy.evaluate_sign_on", "user.authentication.auth_via_mfa", "user.authentication.verify", "user.session.access_admin_app"):
            dd += ',"risk":"{level=%s%s}","behaviors":"{%s}"' % (level, ", reasons=Anomalous Device" if pos else "", beh)
            inner = json.dumps({"risk": {"level": level}, "behaviors": {b: ("POSITIVE" if i == pb else "NEGATIVE") for i, b in enumerate(BEHAVIORS)}}, separators=(",", ":"))
            dd += ',"logOnlySecurityData":' + json.dumps(inner)
            dd += ',"authnRequestId":"%s"' % h[5:32]
        if tk == "app":
            dd += ',"initiationType":"IDP_INITIATED","signOnMode":"SAML 2.0","authnRequestId":"%s"' % h[5:32]
        if tk == "factor":
            dd += ',"factor":"OKTA_VERIFY_PUSH","factorIntent":"AUTHENTICATION","pushOnlyResponseType":"OV_RESPONSE_%s"' % ("ALLOW" if result == "SUCCESS" else "DENY")
        if proxy:
            dd += ',"proxyType":"anonymous","tunnels":"[{\\"anonymous\\":true,\\"operator\\":\\"NORDVPN\\",\\"type\\":\\"VPN\\"}]"'
        if tk == "app":
            tg = ('[{"id":"%s","type":"AppInstance","alternateId":%s,"displayName":%s,"detailEntry":{"signOnModeType":"SAML_2_0"}},{"id":"%s","type":"AppUser","alternateId":"%s","displayName":%s,"detailEntry":null}]'
                  % (app[1], J(app[0]), J(app[0]), "0ua" + h[8:25], actor["email"], J(actor["name"])))
        elif tk == "policy":
            tg = ('[{"id":"%s","type":"PolicyEntity","alternateId":"unknown","displayName":"Default Policy","detailEntry":{"policyType":"OktaSignOn"}},{"id":"%s","type":"PolicyRule","alternateId":"00p%s","displayName":"Require MFA off network","detailEntry":null},{"id":"%s","type":"AppInstance","alternateId":%s,"displayName":%s,"detailEntry":null}]'
                  % ("00p" + h[4:21], "0pr" + h[6:23], h[4:21], app[1], J(app[0]), J(app[0])))
        elif tk == "none":
            tg = "null" if r.random() < .5 else "[]"
        else:
            o = self.actors[r.randrange(len(self.actors))] if tk in ("user", "group") else actor
            tg = '[%s' % o["j"]
            if tk == "group":
                tg += ',{"id":"00g%s","type":"UserGroup","alternateId":"unknown","displayName":"engineering-%d","detailEntry":null}' % (h[2:19], r.randrange(60))
            if tk == "factor":
                tg += ',{"id":"opf%s","type":"AuthenticatorEnrollment","alternateId":"unknown","displayName":"Okta Verify","detailEntry":{"methodTypeUsed":"Push notification","methodUsedVerifiedProperties":"[HARDWARE_PROTECTED, DEVICE_BOUND, USER_PRESENCE]"}}' % h[2:19]
            tg += "]"
        aj = actor["j"] if alt is None else '{"id":"unknown","type":"User","alternateId":%s,"displayName":"unknown","detailEntry":null}' % J(alt)
        k = et if result != "FAILURE" else et + "/FAILURE"
        self.counts[k] = self.counts.get(k, 0) + 1
        if u[3] == "Computer" and r.random() < .35:
            dev = '{"id":"guo%s","name":"LT-%s","os_platform":"%s","os_version":"15.3.1","managed":true,"registered":true,"device_integrator":null,"disk_encryption_type":"ALL_INTERNAL_VOLUMES","screen_lock_type":"BIOMETRIC","jailbreak":null,"secure_hardware_present":true}' % (actor["id"][3:], actor["id"][-6:].upper(), "MACOS" if u[1].startswith("Mac") else "WINDOWS")
        else:
            dev = "null"
        return ('{"actor":%s,"client":{"userAgent":{"rawUserAgent":"%s","os":"%s","browser":"%s"},"zone":"%s","device":"%s","id":null,"ipAddress":"%s","geographicalContext":{%s}},'
                '"device":%s,"authenticationContext":{"authenticationProvider":%s,"credentialProvider":null,"credentialType":null,"issuer":null,"interface":null,"authenticationStep":0,"rootSessionId":"%s","externalSessionId":"%s"},'
                '"displayMessage":"%s","eventType":"%s","outcome":{"result":"%s","reason":%s},"published":"%s",'
                '"securityContext":{"asNumber":%d,"asOrg":"%s","isp":"%s","domain":"%s","isProxy":%s},"severity":"%s",'
                '"debugContext":{"debugData":{%s}},"legacyEventType":%s,"transaction":{"type":"WEB","id":"%s","detail":{}},"uuid":"%s","version":"0",'
                '"request":{"ipChain":[{"ip":"%s","geographicalContext":{%s},"version":"V4","source":null}]},"target":%s}\n'
                % (aj, u[0], u[1], u[2], "null" if r.random() < .7 else "OffNetwork", u[3], ip, geo, dev,
                   '"FACTOR_PROVIDER"' if tk == "factor" else "null", actor["sess"], actor["sess"],
                   msg, et, result, J(reason), pub, c[6], c[7], c[8], c[9], "true" if proxy else "false", sev,
                   dd, J(legacy), reqid, uuid, ip, geo, tg))

    def episode(self, ms):
        """list of (ms, event-arguments) of one attack"""
        r = self.r
        K = {k[0]: k for k in KINDS}
        a = self.actors[r.randrange(len(self.actors))]
        bad = r.choice(self.badips)
        far = r.choice([c for c in (8, 9, 10, 11, 12, 13, 14, 0, 4) if CITIES[c][2] != CITIES[a["home"]][2]])
        kind = r.choices(["brute", "spray", "fatigue", "travel", "takeover"], [35, 10, 25, 20, 10])[0]
        ev = []
        if kind == "brute":
            n = r.randrange(12, 41)
            ev = [(ms + r.randrange(480_000), dict(kind=K["LOGINFAIL"], actor=a, ip=bad, city=far, ua=5)) for _ in range(n)]
            if r.random() < .5:
                ev.append((ms + 490_000, dict(kind=K["user.session.start"], actor=a, ip=bad, city=far, ua=5, positive=True)))
            else:
                ev.append((ms + 490_000, dict(kind=K["user.account.lock"], actor=a, ip=bad, city=far, ua=5, result="FAILURE", reason="LOCKED_OUT")))
        elif kind == "spray":
            ev = [(ms + r.randrange(1_200_000), dict(kind=K["LOGINFAIL"], actor=self.actors[r.randrange(len(self.actors))], ip=bad, city=far, ua=5, proxy=True))
                  for _ in range(r.randrange(30, 121))]
        elif kind == "fatigue":
            n = r.randrange(8, 21)
            for i in range(n):
                at = ms + i * (540_000 // n)
                ev.append((at, dict(kind=K["system.push.send_factor_verify_push"], actor=a, ip=bad, city=far)))
                ev.append((at + 7000, dict(kind=K["user.authentication.auth_via_mfa"], actor=a, ip=bad, city=far, result="FAILURE", reason="User rejected Okta push verify")))
            if r.random() < .4:
                ev.append((ms + 560_000, dict(kind=K["user.authentication.auth_via_mfa"], actor=a, ip=bad, city=far, positive=True)))
        elif kind == "travel":
            ev = [(ms, dict(kind=K["user.session.start"], actor=a, ip=a["ip"])),
                  (ms + r.randrange(600_000, 2_400_000), dict(kind=K["user.session.start"], actor=a, ip=bad, city=far, positive=True))]
        else:
            ev = [(ms, dict(kind=K["user.session.start"], actor=a, ip=bad, city=far, proxy=True, positive=True)),
                  (ms + 30_000, dict(kind=K["user.session.access_admin_app"], actor=a, ip=bad, city=far, proxy=True, positive=True)),
                  (ms + 60_000, dict(kind=K["policy.evaluate_sign_on"], actor=a, ip=bad, city=far, proxy=True, positive=True, app=("Okta Admin Console", self.apps[17][1]))),
                  (ms + 120_000, dict(kind=K["user.mfa.factor.reset_all"], actor=a, ip=bad, city=far, proxy=True)),
                  (ms + 180_000, dict(kind=K["system.api_token.create"], actor=a, ip=bad, city=far, proxy=True)),
                  (ms + 240_000, dict(kind=K["user.account.privilege.grant"], actor=a, ip=bad, city=far, proxy=True))]
        self.episodes.append(dict(kind=kind, at_ms=ms, actor=a["email"], ip=bad, events=len(ev)))
        return ev

    def run(self):
        a, r = self.a, self.r
        ms = calendar.timegm(time.strptime(a.start, "%Y-%m-%dT%H:%M:%SZ")) * 1000
        pend, seq, n = [], 0, 0
        tot = self.kw[-1]
        import bisect
        size = 0
        with open(a.out, "wb", buffering=1 << 20) as f:
            while n < a.events:
                ms += 1 + int(r.expovariate(1 / a.ms_per_event))
                while pend and pend[0][0] <= ms and n < a.events:
                    at, _, kw = heapq.heappop(pend)
                    b = self.event(at, **kw).encode()
                    f.write(b); size += len(b); n += 1
                if n >= a.events:
                    break
                if r.random() < a.attack_rate:
                    for at, kw in self.episode(ms):
                        seq += 1
                        heapq.heappush(pend, (at, seq, kw))
                    continue
                k = KINDS[bisect.bisect_right(self.kw, r.randrange(tot))]
                alt = None
                if k[0] == "LOGINFAIL" and r.random() < .01:
                    alt = "Hunter2!correct-horse"  # a password typed into the user-name field
                b = self.event(ms, k, self.actors[int(r.random() ** 1.7 * len(self.actors))], alt=alt).encode()
                f.write(b); size += len(b); n += 1
        if a.truth:
            json.dump(dict(events=n, bytes=size, counts=self.counts, episodes=self.episodes), open(a.truth, "w"), indent=1, sort_keys=True)
        print("%d events, %d bytes, %.0f bytes an event, %d attack episodes" % (n, size, size / n, len(self.episodes)))


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--events", type=int, default=100_000)
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--actors", type=int, default=5000)
    p.add_argument("--attack-rate", type=float, default=0.002)
    p.add_argument("--ms-per-event", type=float, default=250)
    p.add_argument("--start", default="2026-03-02T00:00:00Z")
    p.add_argument("--truth")
    Gen(p.parse_args()).run()
